import { Migration } from '@mikro-orm/migrations';

/** Settings that each site on a shared server may want to set for itself. */
export class FormSettings extends Migration {
  override up(): void {
    this.addSql(`alter table "forms" add "name" text null`);
    this.addSql(`alter table "forms" add "redirect_url" text null`);
    this.addSql(`alter table "forms" add "required_fields" text[] null`);
  }

  override down(): void {
    this.addSql(`alter table "forms" drop column "required_fields"`);
    this.addSql(`alter table "forms" drop column "redirect_url"`);
    this.addSql(`alter table "forms" drop column "name"`);
  }
}
