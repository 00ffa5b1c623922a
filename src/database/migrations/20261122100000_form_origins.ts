import { Migration } from '@mikro-orm/migrations';

export class FormOrigins extends Migration {
  override up(): void {
    this.addSql(`alter table "forms" add column "origins" text[] null`);
  }

  override down(): void {
    this.addSql(`alter table "forms" drop column "origins"`);
  }
}
