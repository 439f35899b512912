import { type ApiPropertyOptions } from '@nestjs/swagger';

/** Of a field in the OpenAPI document that may hold any JSON. */
export function anyJson(description: string): ApiPropertyOptions {
  return {
    description,
    oneOf: [
      { type: 'object', additionalProperties: true },
      { type: 'array', items: {} },
      { type: 'string' },
      { type: 'number' },
      { type: 'boolean' },
    ],
    nullable: true,
  };
}
