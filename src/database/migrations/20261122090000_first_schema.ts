import { Migration } from '@mikro-orm/migrations';

export class FirstSchema extends Migration {
  override up(): void {
    this.addSql(`create table "encryption_keys" (
        "id" varchar(32) not null,
        "canary" bytea not null,
        "wrapped_index_key" bytea not null,
        "created_at" timestamptz(3) not null default now(),
        primary key ("id")
      )`);
    this.addSql(`create table "forms" (
        "id" uuid not null,
        "slug" varchar(64) not null,
        "recipients" text[] null,
        "auto_reply" boolean null,
        "closed_at" timestamptz(3) null,
        "created_at" timestamptz(3) not null default now(),
        primary key ("id")
      )`);
    this.addSql(`alter table "forms" add constraint "forms_slug_unique" unique ("slug")`);
    this.addSql(`create table "reply_days" (
        "address_index" bytea not null,
        "replied_at" timestamptz(3) not null,
        primary key ("address_index")
      )`);
    this.addSql(`create table "reply_hours" (
        "form_id" uuid not null,
        "hour" timestamptz(0) not null,
        "replies" int not null,
        primary key ("form_id", "hour")
      )`);
    this.addSql(`create table "senders" (
        "id" uuid not null,
        "address_index" bytea not null,
        "address" bytea not null,
        "name" bytea null,
        "message_count" int not null,
        "first_message_at" timestamptz(3) not null,
        "last_message_at" timestamptz(3) not null,
        primary key ("id")
      )`);
    this.addSql(`alter table "senders" add constraint "senders_address_index_unique" unique ("address_index")`);
    this.addSql(`create index "senders_last_message_at_id_index" on "senders" ("last_message_at", "id")`);
    this.addSql(`create table "messages" (
        "id" uuid not null,
        "receipt" varchar(13) not null,
        "form_id" uuid not null,
        "sender_id" uuid not null,
        "status" text not null,
        "reasons" text[] not null default '{}',
        "content" bytea not null,
        "client_address" bytea null,
        "received_at" timestamptz(3) not null,
        primary key ("id")
      )`);
    this.addSql(`alter table "messages" add constraint "messages_receipt_unique" unique ("receipt")`);
    this.addSql(`create index "messages_sender_id_id_index" on "messages" ("sender_id", "id")`);
    this.addSql(`create index "messages_form_id_id_index" on "messages" ("form_id", "id")`);
    this.addSql(`create index "messages_status_id_index" on "messages" ("status", "id")`);
    this.addSql(
      `alter table "messages" add constraint "messages_status_check" check ("status" in ('accepted', 'held'))`,
    );
    this.addSql(`create table "emails" (
        "id" uuid not null,
        "kind" text not null,
        "state" text not null,
        "message_id" uuid not null,
        "recipient" text null,
        "sender_id" uuid null,
        "due_at" timestamptz(3) not null,
        "lease_token" uuid null,
        "tries" smallint not null default 0,
        "failure" text null,
        "internet_message_id" text not null,
        "created_at" timestamptz(3) not null,
        "sent_at" timestamptz(3) null,
        "resend_of_id" uuid null,
        primary key ("id")
      )`);
    this.addSql(`create index "emails_due_index" on "emails" ("due_at") where state = 'queued'`);
    this.addSql(`create index "emails_state_id_index" on "emails" ("state", "id")`);
    this.addSql(`create index "emails_kind_id_index" on "emails" ("kind", "id")`);
    this.addSql(`create index "emails_message_id_index" on "emails" ("message_id")`);
    this.addSql(
      `alter table "emails" add constraint "emails_one_recipient" check (num_nonnulls(recipient, sender_id) = 1)`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_kind_check" check ("kind" in ('notification', 'auto-reply'))`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_state_check" check ("state" in ('queued', 'sent', 'failed', 'cancelled', 'held'))`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_failure_check" check ("failure" in ('refused', 'schedule-ended', 'outcome-unknown'))`,
    );
    this.addSql(`create table "attempts" (
        "id" uuid not null,
        "email_id" uuid not null,
        "outcome" text not null,
        "code" smallint null,
        "reply" bytea null,
        "started_at" timestamptz(3) null,
        "finished_at" timestamptz(3) not null,
        primary key ("id")
      )`);
    this.addSql(`create index "attempts_email_id_finished_at_index" on "attempts" ("email_id", "finished_at")`);
    this.addSql(
      `alter table "attempts" add constraint "attempts_outcome_check" check ("outcome" in ('accepted', 'refused', 'later', 'unknown', 'broken'))`,
    );
    this.addSql(
      `alter table "reply_hours" add constraint "reply_hours_form_id_foreign" foreign key ("form_id") references "forms" ("id")`,
    );
    this.addSql(
      `alter table "messages" add constraint "messages_form_id_foreign" foreign key ("form_id") references "forms" ("id")`,
    );
    this.addSql(
      `alter table "messages" add constraint "messages_sender_id_foreign" foreign key ("sender_id") references "senders" ("id")`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_message_id_foreign" foreign key ("message_id") references "messages" ("id") on delete cascade`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_sender_id_foreign" foreign key ("sender_id") references "senders" ("id") on delete cascade`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_resend_of_id_foreign" foreign key ("resend_of_id") references "emails" ("id") on delete set null`,
    );
    this.addSql(
      `alter table "attempts" add constraint "attempts_email_id_foreign" foreign key ("email_id") references "emails" ("id") on delete cascade`,
    );

    // The form that posts to /api/messages belong to.
    this.addSql(`insert into "forms" ("id", "slug") values (gen_random_uuid(), 'contact')`);
  }

  override down(): void {
    this.addSql(`drop table "attempts"`);
    this.addSql(`drop table "emails"`);
    this.addSql(`drop table "messages"`);
    this.addSql(`drop table "senders"`);
    this.addSql(`drop table "reply_hours"`);
    this.addSql(`drop table "reply_days"`);
    this.addSql(`drop table "forms"`);
    this.addSql(`drop table "encryption_keys"`);
  }
}
