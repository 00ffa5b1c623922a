import { Migration } from '@mikro-orm/migrations';

/** Rows imported from another program's database, so that each is imported once. */
export class ImportedRows extends Migration {
  override up(): void {
    this.addSql(`create table "imported_rows" (
        "print" bytea not null,
        "taken_at" timestamptz(3) not null,
        primary key ("print")
      )`);
  }

  override down(): void {
    this.addSql(`drop table "imported_rows"`);
  }
}
