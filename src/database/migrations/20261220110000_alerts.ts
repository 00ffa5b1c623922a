import { Migration } from '@mikro-orm/migrations';

/** Which conditions the operator was told about. Release 0.3.0 does not know it. */
export class Alerts extends Migration {
  override up(): void {
    this.addSql(`create table "alerts" (
        "condition" varchar(128) primary key, "since" timestamptz(3), "told_at" timestamptz(3), "error" text)`);
  }

  override down(): void {
    this.addSql(`drop table "alerts"`);
  }
}
