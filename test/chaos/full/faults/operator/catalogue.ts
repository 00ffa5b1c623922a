import pg from 'pg';

/** Everything that migrations make, as text: equal for equal schemas, whatever the internal numbers are. */
const catalogueSql = `
select string_agg(line, e'\\n' order by line) as catalogue from (
  select 'column ' || attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) ||
    ' not null ' || attnotnull || ' default ' || coalesce(pg_get_expr(adbin, adrelid), '-') || ' ' || attgenerated::text || attidentity::text as line
  from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'p'))
    and attnum > 0 and not attisdropped
  union all select 'index ' || indexdef from pg_indexes where schemaname = 'public'
  union all select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
  union all select 'trigger ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
  union all select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f'
  union all select 'options ' || relname || ' ' || coalesce(reloptions::text, '-')
    from pg_class where relnamespace = 'public'::regnamespace
  union all select 'migration ' || name || ' ' || count(*) from schema_migrations group by name
) as lines`;

export async function readCatalogue(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ catalogue: string }>(catalogueSql);
    return rows[0]?.catalogue ?? '';
  } finally {
    await client.end();
  }
}
