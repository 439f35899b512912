import { NestFactory } from '@nestjs/core';
import { type NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { ApiKey } from './api-key/api-key.js';
import { AppModule } from './app.module.js';
import { type Config } from './config.js';
import { OperatorAdapter } from './live/operator-adapter.js';

/** The composed app, not listening yet. */
export async function createApp(config: Config): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(config));
  app.useWebSocketAdapter(new OperatorAdapter(app, app.get(ApiKey)));
  app.disable('x-powered-by');
  app.set('trust proxy', [...config.trustedProxies]);
  app.use(helmet());
  return app;
}
