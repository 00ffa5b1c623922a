import { Migration } from '@mikro-orm/migrations';

/** Which conditions the operator was told about. Release 0.3.0 does not know it. */
export class Alerts extends Migration {
  override up(): void {
    this.addSql(`create table "alerts" (
        "condition" varchar(128) not null,
        "since" timestamptz(3) null,
        "told_at" timestamptz(3) null,
        "error" text null,
        primary key ("condition")
      )`);
  }

  override down(): void {
    this.addSql(`drop table "alerts"`);
  }
}
