import 'reflect-metadata';
import { Logger, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
// For what devices send and for HTTP alike.
app.useGlobalPipes(new ValidationPipe({ whitelist: true }));
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, process.env['HOST'] ?? '127.0.0.1');
Logger.log(`Listening on ${await app.getUrl()}`, 'Main');
