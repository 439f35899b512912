import { NestFactory } from '@nestjs/core';
import { type NestExpressApplication } from '@nestjs/platform-express';
import { WsAdapter } from '@nestjs/platform-ws';
import { AppModule } from './app.module.js';
import { type Config } from './config.js';

/** The composed app, not listening yet. */
export async function createApp(config: Config): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(config));
  app.useWebSocketAdapter(new WsAdapter(app));
  app.disable('x-powered-by');
  return app;
}
