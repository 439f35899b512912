import { type INestApplication, Injectable } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { PLAIN_COOKIE, SECURE_COOKIE } from '../access/session-cookie.js';

/** The version of the HTTP API. */
const API_VERSION = '1';
const PREFIX = '/api/v1/';

/** The OpenAPI document of the app, made when it is first asked for. */
@Injectable()
export class OpenApi {
  private app: INestApplication | undefined;
  private made: OpenAPIObject | undefined;

  /** Takes the app that it describes. */
  describe(app: INestApplication): void {
    this.app = app;
  }

  get document(): OpenAPIObject {
    if (!this.app) throw new Error('OpenApi.describe(app) was not called.');
    return (this.made ??= openApiOf(this.app));
  }
}

/** Of what is below `/api/v1`. */
function openApiOf(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('cloud-api')
    .setDescription('A fleet of devices over HTTP. docs/api.md shows how to use it.')
    .setVersion(API_VERSION)
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', bearerFormat: 'fdk_', description: 'An API key.' },
      'bearer',
    )
    .addCookieAuth(
      PLAIN_COOKIE,
      {
        type: 'apiKey',
        in: 'cookie',
        description: `An operator who has logged in. By HTTPS its name is ${SECURE_COOKIE}.`,
      },
      'cookie',
    )
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  const paths = Object.entries(document.paths).filter(([path]) => path.startsWith(PREFIX));
  return { ...document, paths: Object.fromEntries(paths.sort(([a], [b]) => (a < b ? -1 : 1))) };
}
