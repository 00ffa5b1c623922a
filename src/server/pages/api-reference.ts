import type { ApiAnswer, MediaType, OpenApi, Operation, Schema } from '../openapi/document.ts';

/** One row of a table of fields or parameters. */
interface FieldRow {
  name: string;
  kind: string;
  required: boolean;
  description: string;
}

/** Turns an OpenAPI document into the values of the reference page. */
export function apiReference(api: OpenApi) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => showOperation(api, path, method, operation)),
  );
  return {
    summary: api.info.description,
    groups: api.tags.map((tag) => ({ ...tag, operations: operations.filter((it) => it.tag === tag.name) })),
  };
}

function showOperation(api: OpenApi, path: string, method: string, operation: Operation) {
  const bodies = Object.entries(operation.requestBody?.content ?? {});
  const [[, body] = [undefined, undefined]] = bodies;
  return {
    id: operation.operationId,
    tag: operation.tags[0],
    method: method.toUpperCase(),
    path,
    summary: operation.summary,
    description: operation.description ?? '',
    parameters: (operation.parameters ?? []).map((it) => ({
      ...rowOf(it.name, it.schema, it.required ?? false),
      description: it.description,
      where: it.in,
    })),
    types: bodies.map(([type]) => type),
    fields: body === undefined ? [] : fieldRows(api, body.schema),
    alike: body === undefined ? null : firstLike(api, operation, (it) => bodySchema(it) === body.schema.$ref),
    answered_alike: firstLike(api, operation, (it) => it.responses === operation.responses),
    example: body === undefined ? '' : pretty(body.example),
    answers: Object.entries(operation.responses).map(([status, answer]) => showAnswer(status, answer)),
  };
}

/** The first operation above this one that is alike: the page refers to it instead of repeating the same list. */
function firstLike(api: OpenApi, operation: Operation, isAlike: (other: Operation) => boolean) {
  for (const [path, { post }] of Object.entries(api.paths)) {
    if (post === operation) break;
    if (post !== undefined && isAlike(post)) return { id: post.operationId, path };
  }
  return null;
}

function bodySchema({ requestBody }: Operation): string | undefined {
  return Object.values(requestBody?.content ?? {})[0]?.schema.$ref;
}

function showAnswer(status: string, answer: ApiAnswer) {
  const [[type, content] = ['', undefined]] = Object.entries(answer.content ?? {}) as [string, MediaType][];
  return {
    status,
    good: /^[123]/.test(status),
    description: answer.description,
    headers: Object.entries(answer.headers ?? {}).map(([name, it]) => ({ name, description: it.description })),
    type,
    example: content?.example === undefined ? '' : pretty(content.example),
  };
}

function fieldRows(api: OpenApi, schema: Schema): FieldRow[] {
  const { properties = {}, required = [], additionalProperties } = resolve(api, schema);
  const rows = Object.entries(properties).map(([name, it]) => rowOf(name, it, required.includes(name)));
  if (typeof additionalProperties === 'object') rows.push(rowOf('', additionalProperties, false));
  return rows;
}

function rowOf(name: string, schema: Schema, required: boolean): FieldRow {
  const type = [schema.type ?? ''].flat().join(', ');
  const limit = schema.maxLength === undefined ? '' : `, at most ${schema.maxLength.toLocaleString('en')} characters`;
  return { name, kind: (schema.format ?? type) + limit, required, description: schema.description ?? '' };
}

function resolve(api: OpenApi, schema: Schema): Schema {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name === undefined ? schema : (api.components.schemas[name] ?? {});
}

function pretty(example: unknown): string {
  return JSON.stringify(example, null, 2);
}
