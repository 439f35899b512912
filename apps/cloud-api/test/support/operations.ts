import { type OpenAPIObject } from '@nestjs/swagger';
import { type CloudApi } from './cloud-api.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** An operation of the HTTP API. */
export interface Operation {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
  /** The fields of its body; undefined: it has none. */
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

/** Every operation, as the document of the app has them. */
export async function operationsOf(app: CloudApi): Promise<readonly Operation[]> {
  const { paths, components } = (await app.http('GET', '/api/v1/openapi.json')).body as OpenAPIObject;
  const propertiesOf = (schema: unknown): Record<string, unknown> => {
    const { $ref, properties = {} } = schema as { $ref?: string; properties?: Record<string, unknown> };
    if ($ref === undefined) return properties;
    return propertiesOf(components?.schemas?.[$ref.split('/').at(-1)!]);
  };
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      if (!operation) return [];
      const parameters = (operation.parameters ?? []) as { in: string; name: string }[];
      const body = operation.requestBody as { content: Record<string, { schema: unknown }> } | undefined;
      const schema = body?.content['application/json']?.schema;
      return {
        operationId: operation.operationId ?? '',
        method: method.toUpperCase(),
        path,
        query: parameters.filter((each) => each.in === 'query').map(({ name }) => name),
        fields: schema === undefined ? undefined : propertiesOf(schema),
      };
    }),
  );
}
