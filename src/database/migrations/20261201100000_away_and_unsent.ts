import { Migration } from '@mikro-orm/migrations';

/** A pause because no mail server answers, and which claimed auto-replies were not handed over. */
export class AwayAndUnsent extends Migration {
  override up(): void {
    this.addSql(`alter table "mail_queue" add "is_away" boolean not null default false`);
    this.addSql(`alter table "emails" add "unsent_token" uuid null`);
    this.addSql(outcomes('accepted', 'refused', 'later', 'unknown', 'broken', 'away'));
  }

  override down(): void {
    this.addSql(`update "attempts" set "outcome" = 'later' where "outcome" = 'away'`);
    this.addSql(outcomes('accepted', 'refused', 'later', 'unknown', 'broken'));
    this.addSql(`alter table "emails" drop column "unsent_token"`);
    this.addSql(`alter table "mail_queue" drop column "is_away"`);
  }
}

/** One statement, so that the table is read once. */
function outcomes(...allowed: string[]): string {
  const list = allowed.map((it) => `'${it}'`).join(', ');
  return `alter table "attempts" drop constraint "attempts_outcome_check", add constraint "attempts_outcome_check" check ("outcome" in (${list}))`;
}
