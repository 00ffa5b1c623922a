import { Migration } from '@mikro-orm/migrations';

/** Why a worker cancelled an email when its turn came. */
export class CancelReasons extends Migration {
  override up(): void {
    this.addSql(reasons('refused', 'schedule-ended', 'outcome-unknown', 'unwanted', 'too-late', 'nothing-held'));
  }

  override down(): void {
    this.addSql(`update "emails" set "failure" = null where "failure" in ('unwanted', 'too-late', 'nothing-held')`);
    this.addSql(reasons('refused', 'schedule-ended', 'outcome-unknown'));
  }
}

/** In one statement, which reads the table once. */
function reasons(...allowed: string[]): string {
  const list = allowed.map((it) => `'${it}'`).join(', ');
  return `alter table "emails" drop constraint "emails_failure_check", add constraint "emails_failure_check" check ("failure" in (${list}))`;
}
