-- Two accounts for one database, new or in use: "ruffinweb_owner" migrates, "ruffinweb" serves. An intruder in the
-- service can then neither change nor drop a table. Make both accounts and the database first. It may run again.
--   sudo -u postgres psql -1 ruffinweb < deploy/database-accounts.sql
alter database ruffinweb owner to ruffinweb_owner;
revoke create on schema public from public;
-- Tables that the service's account made while it was the only one.
reassign owned by ruffinweb to ruffinweb_owner;
grant select, insert, update, delete on all tables in schema public to ruffinweb;
grant usage on all sequences in schema public to ruffinweb;
-- And tables of later migrations.
alter default privileges for role ruffinweb_owner grant select, insert, update, delete on tables to ruffinweb;
alter default privileges for role ruffinweb_owner grant usage on sequences to ruffinweb;
