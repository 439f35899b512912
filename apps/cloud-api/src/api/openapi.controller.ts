import { Get } from '@nestjs/common';
import { ApiExcludeEndpoint, type OpenAPIObject } from '@nestjs/swagger';
import { Requires } from '../access/requires.decorator.js';
import { V1Controller } from '../access/v1-controller.decorator.js';
import { OpenApi } from './openapi.js';

/** The description of the API for programs. */
@V1Controller('openapi.json')
export class OpenApiController {
  constructor(private readonly openApi: OpenApi) {}

  @Get()
  @Requires('viewer')
  @ApiExcludeEndpoint()
  document(): OpenAPIObject {
    return this.openApi.document;
  }
}
