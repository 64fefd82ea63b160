-- Run once by the PostgreSQL image: the schema registry has a database of its own.
create database registry;
