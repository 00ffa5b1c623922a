/** Puts rows into states that the program itself reaches only after hours or days, or with a certain mail server. */

import type { TestDatabase } from './database.ts';

/** All emails, if no id is given; likewise below. */
type Ids = readonly (string | undefined)[];

export async function sent(db: TestDatabase, ...ids: Ids): Promise<void> {
  await db.query(`update emails set state = 'sent', sent_at = now() where ${among()}`, [listed(ids)]);
}

export async function failed(db: TestDatabase, ...ids: Ids): Promise<void> {
  await db.query(
    `update emails set state = 'failed', failure = 'refused', lease_token = null, sent_at = null where ${among()}`,
    [listed(ids)],
  );
}

export async function cancelled(db: TestDatabase, ...ids: Ids): Promise<void> {
  await db.query(`update emails set state = 'cancelled' where ${among()}`, [listed(ids)]);
}

/** As if another worker had claimed these emails. */
export async function leased(db: TestDatabase, ...ids: Ids): Promise<void> {
  await db.query(`update emails set lease_token = gen_random_uuid() where ${among()}`, [listed(ids)]);
}

/** Mail that a server has postponed. @param delay a PostgreSQL interval. */
export async function dueIn(db: TestDatabase, delay: string, ...ids: Ids): Promise<void> {
  await db.query(`update emails set due_at = now() + $2::interval where ${among()}`, [listed(ids), delay]);
}

export async function dueNow(db: TestDatabase, ...ids: Ids): Promise<void> {
  await dueIn(db, '0', ...ids);
}

/** Every email has one try left. */
export async function onLastTry(db: TestDatabase): Promise<void> {
  await db.query('update emails set tries = 8');
}

/** Messages that came this much earlier. Unlike `db.age` this keeps their ids. @param age a PostgreSQL interval. */
export async function aged(db: TestDatabase, age: string, ...ids: Ids): Promise<void> {
  await db.query(`update messages set received_at = received_at - $2::interval where ${among()}`, [listed(ids), age]);
}

/** Emails that were queued this much earlier. @param age a PostgreSQL interval. */
export async function agedEmails(db: TestDatabase, age: string, ...ids: Ids): Promise<void> {
  await db.query(`update emails set created_at = created_at - $2::interval where ${among()}`, [listed(ids), age]);
}

export async function held(db: TestDatabase, ...ids: Ids): Promise<void> {
  await db.query(`update messages set status = 'held' where ${among()}`, [listed(ids)]);
}

/** The periodic tasks ran this much earlier, so that they are due. @param age a PostgreSQL interval. */
export async function tasksRan(db: TestDatabase, age: string): Promise<void> {
  await db.query('update duties set done_at = done_at - $1::interval', [age]);
}

function among(): string {
  return '($1::uuid[] is null or id = any($1))';
}

function listed(ids: Ids): Ids | null {
  return ids.length === 0 ? null : ids;
}
