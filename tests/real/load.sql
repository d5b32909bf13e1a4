-- A table of 150,000 rows built, indexed, joined, changed, searched and checked; in memory, so that
-- malloc has all of it.
.bail on
PRAGMA temp_store = memory;
PRAGMA journal_mode = memory;
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, price REAL, name TEXT, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
INSERT INTO item
  SELECT i, i * 7919 % 997, (i * 2654435761 % 100000) / 100.0,
         printf('item %x of kind %d', i * 2654435761 % 1048576, i % 13), zeroblob(i % 64)
  FROM n;
CREATE INDEX by_kind ON item(kind, price);
CREATE INDEX by_name ON item(name);
SELECT count(*), sum(price), min(name), max(name), sum(length(data)) FROM item;
SELECT kind, count(*), round(avg(price), 3) FROM item GROUP BY kind ORDER BY 3 DESC, 1 LIMIT 20;
SELECT count(*), round(sum(a.price), 2) FROM item a JOIN item b ON a.id = b.kind
  WHERE b.price > 500;
SELECT id, name, rank() OVER (PARTITION BY kind ORDER BY price DESC, id) AS r,
  round(sum(price) OVER (PARTITION BY kind ORDER BY id ROWS 10 PRECEDING), 2)
  FROM item WHERE kind < 3 ORDER BY r, id LIMIT 30;
SELECT length(x), substr(x, 1, 100) FROM
  (SELECT group_concat(name, ';') AS x FROM item ORDER BY id);
SELECT json_extract(j, '$[29999].n'), length(j) FROM
  (SELECT json_group_array(json_object('n', name, 'p', price)) AS j FROM item WHERE id <= 30000);
BEGIN;
UPDATE item SET name = upper(name) || ' changed', price = price * 1.5 WHERE kind % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SAVEPOINT s;
DELETE FROM item WHERE kind > 100;
ROLLBACK TO s;
COMMIT;
CREATE VIRTUAL TABLE words USING fts5(t);
INSERT INTO words SELECT name FROM item WHERE id <= 30000;
SELECT count(*) FROM words WHERE words MATCH 'kind AND 7 NOT changed';
SELECT kind, group_concat(DISTINCT substr(name, 1, 6)) FROM item WHERE kind < 40
  GROUP BY kind ORDER BY kind;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), total(price) FROM item;
