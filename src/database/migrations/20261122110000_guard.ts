import { Migration } from '@mikro-orm/migrations';

/** Idempotency keys, double clicks, used captchas, blocked senders, and the daily summary of held messages. */
export class Guard extends Migration {
  override up(): void {
    this.addSql(`create table "message_keys" (
        "form_id" uuid not null constraint "message_keys_form_id_foreign" references "forms" ("id"),
        "key" bytea not null,
        "fingerprint" bytea not null,
        "message_id" uuid not null constraint "message_keys_message_id_foreign" references "messages" ("id") on delete cascade,
        "stored_at" timestamptz(3) not null,
        primary key ("form_id", "key")
      )`);
    this.addSql(`create index "message_keys_stored_at_index" on "message_keys" ("stored_at")`);
    this.addSql(`create index "message_keys_message_id_index" on "message_keys" ("message_id")`);
    this.addSql(`create table "recent_posts" (
        "fingerprint" bytea not null,
        "message_id" uuid not null constraint "recent_posts_message_id_foreign" references "messages" ("id") on delete cascade,
        "stored_at" timestamptz(3) not null,
        primary key ("fingerprint")
      )`);
    this.addSql(`create index "recent_posts_stored_at_index" on "recent_posts" ("stored_at")`);
    this.addSql(`create index "recent_posts_message_id_index" on "recent_posts" ("message_id")`);
    this.addSql(`create table "used_captchas" (
        "id" varchar(128) not null,
        "expires_at" timestamptz(3) not null,
        primary key ("id")
      )`);
    this.addSql(`create index "used_captchas_expires_at_index" on "used_captchas" ("expires_at")`);
    this.addSql(`create table "duties" (
        "name" varchar(64) not null,
        "done_at" timestamptz(3) not null,
        primary key ("name")
      )`);

    this.addSql(`alter table "forms" add "captcha" text null`);
    this.addSql(
      `alter table "forms" add constraint "forms_captcha_check" check ("captcha" in ('none', 'altcha', 'turnstile', 'hcaptcha', 'recaptcha'))`,
    );
    this.addSql(`alter table "senders" add "blocked_at" timestamptz(3) null`);
    this.addSql(`alter table "messages" add "text_index" bytea null`);
    this.addSql(
      `create index "messages_text_index" on "messages" ("text_index", "received_at") where text_index is not null`,
    );

    // A summary of held messages is not about a single message.
    this.addSql(`alter table "emails" alter column "message_id" drop not null`);
    this.addSql(`alter table "emails" drop constraint "emails_kind_check"`);
    this.addSql(
      `alter table "emails" add constraint "emails_kind_check" check ("kind" in ('notification', 'auto-reply', 'held-summary'))`,
    );
    this.addSql(
      `alter table "emails" add constraint "emails_about_a_message" check (kind = 'held-summary' or message_id is not null)`,
    );
  }

  override down(): void {
    this.addSql(`delete from "emails" where kind = 'held-summary'`);
    this.addSql(`alter table "emails" drop constraint "emails_about_a_message"`);
    this.addSql(`alter table "emails" drop constraint "emails_kind_check"`);
    this.addSql(
      `alter table "emails" add constraint "emails_kind_check" check ("kind" in ('notification', 'auto-reply'))`,
    );
    this.addSql(`alter table "emails" alter column "message_id" set not null`);
    this.addSql(`drop index "messages_text_index"`);
    this.addSql(`alter table "messages" drop column "text_index"`);
    this.addSql(`alter table "senders" drop column "blocked_at"`);
    this.addSql(`alter table "forms" drop column "captcha"`);
    this.addSql(`drop table "duties"`);
    this.addSql(`drop table "used_captchas"`);
    this.addSql(`drop table "recent_posts"`);
    this.addSql(`drop table "message_keys"`);
  }
}
