//! Everything that is tested from outside: the program as people run it, and the house rules.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod house;
#[cfg(test)]
mod redact;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod words;
