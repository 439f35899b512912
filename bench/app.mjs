// The Nest app of the servers in this folder.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksModule } from '../libs/fedecks/dist/server/index.js';

/** It accepts any credentials, unless `options` says otherwise. */
export function createApp(options = {}, { providers = [], logger = ['error', 'warn'] } = {}) {
  class App {}
  Module({
    imports: [
      FedecksModule.forRoot({
        secrets: ['a secret of thirty-two bytes, or more'],
        authenticator: { authenticate: () => true },
        ...options,
      }),
    ],
    providers,
  })(App);
  return NestFactory.create(App, { logger });
}

/** Applies the decorator of a method, which JavaScript has no syntax for. */
export function decorate({ prototype }, method, decorator) {
  decorator(prototype, method, Object.getOwnPropertyDescriptor(prototype, method));
}
