// Starts an app whose enhanced handler is in a provider of another token.
import { FedecksModule } from '@fedecks/nest';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Greenhouse } from './greenhouse.js';

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['0123456789abcdef0123456789abcdef'],
      authenticator: { authenticate: () => true },
    }),
  ],
  providers: [{ provide: 'greenhouse', useClass: Greenhouse }],
})
class AppModule {}

async function start(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.init();
  console.log('started');
  await app.close();
}

void start();
