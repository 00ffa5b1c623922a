import { Migration } from '@mikro-orm/migrations';

/** The reasons for which a worker cancels an email that is due. */
export class CancelReasons extends Migration {
  override up(): void {
    this.addSql(reasons('refused', 'schedule-ended', 'outcome-unknown', 'unwanted', 'too-late', 'nothing-held'));
  }

  override down(): void {
    this.addSql(`update "emails" set "failure" = null where "failure" in ('unwanted', 'too-late', 'nothing-held')`);
    this.addSql(reasons('refused', 'schedule-ended', 'outcome-unknown'));
  }
}

/** One statement, so that the table is read once. */
function reasons(...allowed: string[]): string {
  const list = allowed.map((it) => `'${it}'`).join(', ');
  return `alter table "emails" drop constraint "emails_failure_check", add constraint "emails_failure_check" check ("failure" in (${list}))`;
}
