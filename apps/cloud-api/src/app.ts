import { NestFactory } from '@nestjs/core';
import { type NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { ActorCache } from './access/actor-cache.js';
import { Authenticator } from './access/authenticator.js';
import { OpenApi } from './api/openapi.js';
import { AppModule } from './app.module.js';
import { type Config } from './config.js';
import { CONTENT_SECURITY_POLICY, serveConsole } from './console/serve-console.js';
import { OperatorAdapter } from './live/operator-adapter.js';

/** Whether Express trusts the proxy at this address, so many hops away. */
type TrustProxy = (address: string, hops: number) => boolean;

/** The composed app, not listening yet. */
export async function createApp(config: Config): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(config));
  const express = app.getHttpAdapter().getInstance() as { get(name: 'trust proxy fn'): TrustProxy };
  const isTrusted = (address: string): boolean => express.get('trust proxy fn')(address, 0);
  app.useWebSocketAdapter(
    new OperatorAdapter(
      app,
      app.get(Authenticator),
      app.get(ActorCache).cleared$,
      isTrusted,
      config.liveRecheckMs,
    ),
  );
  app.disable('x-powered-by');
  app.set('trust proxy', [...config.trustedProxies]);
  app.use(helmet({ contentSecurityPolicy: CONTENT_SECURITY_POLICY }));
  serveConsole(app, config.consoleDirectory);
  app.get(OpenApi).describe(app);
  return app;
}
