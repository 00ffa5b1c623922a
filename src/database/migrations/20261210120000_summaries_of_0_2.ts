import { Migration } from '@mikro-orm/migrations';
import { fillSummaries } from './20261130100000_told_at.ts';

/** What release 0.2.0 left empty, or did not clear, while it ran beside 0.3.0. It does not run beside later releases. */
export class SummariesOf02 extends Migration {
  override up(): void {
    this.addSql(`update messages set told_at = null where told_at < coalesce(held_at, received_at)`);
    for (const statement of fillSummaries) this.addSql(statement);
  }

  override down(): void {}
}
