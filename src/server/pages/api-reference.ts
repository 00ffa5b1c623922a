import type { ApiAnswer, MediaType, OpenApi, Operation, Schema } from '../openapi/document.ts';

/** One line of a table of fields or parameters. */
interface FieldRow {
  name: string;
  kind: string;
  required: boolean;
  description: string;
}

/** What the reference page shows of an OpenAPI document: the same, in the order of reading. */
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
    alike: body === undefined ? null : firstWithBody(api, body.schema, operation),
    answered_alike: firstAnswering(api, operation),
    example: body === undefined ? '' : pretty(body.example),
    answers: Object.entries(operation.responses).map(([status, answer]) => showAnswer(status, answer)),
  };
}

/** The operation whose fields are shown already, where this one takes the same. */
function firstWithBody(api: OpenApi, schema: Schema, operation: Operation): { id: string; path: string } | null {
  for (const [path, methods] of Object.entries(api.paths)) {
    if (methods.post === operation) break;
    const [body] = Object.values(methods.post?.requestBody?.content ?? {});
    if (body?.schema.$ref === schema.$ref) return { id: methods.post?.operationId ?? '', path };
  }
  return null;
}

/** The operation whose answers are shown already, where this one has the same. */
function firstAnswering(api: OpenApi, operation: Operation): { id: string; path: string } | null {
  for (const [path, { post }] of Object.entries(api.paths)) {
    if (post === operation) break;
    if (post?.responses === operation.responses) return { id: post.operationId, path };
  }
  return null;
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
