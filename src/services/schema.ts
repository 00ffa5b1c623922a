import { isContracting, type SchemaStatus } from '../database/migrate.ts';
import { Problem } from '../problems.ts';

/**
 * Refuses a schema that does not fit this release.
 *
 * @returns a warning if the schema is newer than this release but still fits.
 * @throws {Problem} schema-behind, schema-too-new
 */
export function requireFitSchema(status: SchemaStatus): string | undefined {
  if (status.applied.length === 0) throw new Problem('schema-behind', 'the database has no schema yet');
  if (status.pending.length > 0) {
    throw new Problem(
      'schema-behind',
      `the database schema is behind by ${status.pending.length} (${status.pending.join(', ')})`,
    );
  }
  const contracting = status.unknown.filter(isContracting);
  if (contracting.length > 0) {
    throw new Problem('schema-too-new', `a newer release has removed what this one needs (${contracting.join(', ')})`);
  }
  if (status.unknown.length === 0) return undefined;
  return `the database schema is newer than this release (${status.unknown.join(', ')}); it still fits`;
}
