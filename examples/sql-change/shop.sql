CREATE TABLE orders (id integer PRIMARY KEY, item text NOT NULL, amount integer NOT NULL);
INSERT INTO orders VALUES (1, 'chair', 80), (2, 'table', 240), (3, 'lamp', 35);
CREATE TABLE accounts (id integer PRIMARY KEY, owner text NOT NULL, balance integer NOT NULL);
INSERT INTO accounts VALUES (1, 'ann', 100), (2, 'bob', 25);
CREATE TABLE bookings (what text NOT NULL, amount integer NOT NULL);
