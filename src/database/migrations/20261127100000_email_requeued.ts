import { Migration } from '@mikro-orm/migrations';

/** When an operator queued a mail again: the Date of its new schedule. */
export class EmailRequeued extends Migration {
  override up(): void {
    this.addSql(`alter table "emails" add "requeued_at" timestamptz(3) null`);
  }

  override down(): void {
    this.addSql(`alter table "emails" drop column "requeued_at"`);
  }
}
