import type { TestDatabase } from './database.ts';

/** From now on this database fails to store messages, with this SQLSTATE, as on a full disk. */
export async function refuseMessages(db: TestDatabase, code: string): Promise<void> {
  await db.query(`
    create or replace function refuse_messages() returns trigger language plpgsql as
      $$ begin raise exception 'could not extend file' using errcode = '${code}'; end $$;
    create or replace trigger refuse_messages before insert on messages execute function refuse_messages()`);
}

/** From now on this database fails to create tables as the result of a query. */
export async function refuseTables(db: TestDatabase, code: string): Promise<void> {
  await db.query(`
    create function refuse_tables() returns event_trigger language plpgsql as
      $$ begin raise exception 'could not extend file' using errcode = '${code}'; end $$;
    create event trigger refuse_tables on ddl_command_start when tag in ('CREATE TABLE AS') execute function refuse_tables()`);
}

/** It has space again. */
export async function allowEverything(db: TestDatabase): Promise<void> {
  await db.query(`
    drop event trigger if exists refuse_tables;
    drop function if exists refuse_tables;
    drop trigger if exists refuse_messages on messages`);
}
