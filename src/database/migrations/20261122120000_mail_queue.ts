import { Migration } from '@mikro-orm/migrations';

/** Pausing the queue, mailboxes that want no auto-reply, and an index on the times of attempts. */
export class MailQueue extends Migration {
  override up(): void {
    this.addSql(`create table "mail_queue" (
        "id" smallint not null,
        "paused_at" timestamptz(3) null,
        "cause" text null,
        "reason" bytea null,
        "probed_at" timestamptz(3) null,
        "database_identity" text null,
        primary key ("id")
      )`);
    this.addSql(
      `alter table "mail_queue" add constraint "mail_queue_cause_check" check ("cause" in ('broken', 'hand', 'restored'))`,
    );
    this.addSql(`alter table "mail_queue" add constraint "mail_queue_one_row" check (id = 1)`);
    this.addSql(
      `alter table "mail_queue" add constraint "mail_queue_paused_for_a_cause" check ((paused_at is null) = (cause is null))`,
    );
    this.addSql(`insert into "mail_queue" ("id") values (1)`);
    this.addSql(`create table "suppressions" (
        "address_index" bytea not null,
        "suppressed_at" timestamptz(3) not null,
        primary key ("address_index")
      )`);
    this.addSql(`create index "attempts_finished_at_index" on "attempts" ("finished_at")`);
  }

  override down(): void {
    this.addSql(`drop index "attempts_finished_at_index"`);
    this.addSql(`drop table "suppressions"`);
    this.addSql(`drop table "mail_queue"`);
  }
}
