//! Everything that is tested from outside: the program as people run it, and the house rules.

mod house;
