import { Migration } from '@mikro-orm/migrations';

/**
 * First in a migration that changes more than one of these. A post locks "forms" before the others: from then on posts wait
 * there, and hold nothing that the migration waits for. Otherwise each table costs a deadlock, and visitors wait too long.
 */
export const lockTablesOfPosts = 'lock table "forms", "emails", "messages" in access exclusive mode';

/** Replies that an operator writes, with their text. Release 0.3.0 leaves emails of this kind to later workers. */
export class Replies extends Migration {
  override up(): void {
    this.addSql(lockTablesOfPosts);
    this.addSql(
      `alter table "emails" add "content" bytea null, ${kinds('notification', 'auto-reply', 'held-summary', 'reply')}`,
    );
  }

  override down(): void {
    this.addSql(`delete from "emails" where "kind" = 'reply'`);
    this.addSql(`alter table "emails" drop column "content", ${kinds('notification', 'auto-reply', 'held-summary')}`);
  }
}

/** Part of the one `alter table`, so that the table is read once. */
function kinds(...allowed: string[]): string {
  const list = allowed.map((it) => `'${it}'`).join(', ');
  return `drop constraint "emails_kind_check", add constraint "emails_kind_check" check ("kind" in (${list}))`;
}
