import { Migration } from '@mikro-orm/migrations';

/** Who was erased (as a keyed hash) and when, for restored backups that still have them. */
export class Erasures extends Migration {
  override up(): void {
    this.addSql(`create table "erasures" (
        "address_index" bytea not null,
        "erased_at" timestamptz(3) not null,
        primary key ("address_index")
      )`);
  }

  override down(): void {
    this.addSql(`drop table "erasures"`);
  }
}
