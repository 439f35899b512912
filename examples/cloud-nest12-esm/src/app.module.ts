import { Module } from '@nestjs/common';
import { FedecksModule } from '@fedecks/nest';
import { DevicesController } from './devices.controller.js';
import { Greenhouse } from './greenhouse.js';
import { GreenhouseLogin } from './greenhouse-login.js';

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: [process.env['FEDECKS_SECRET']],
      authenticator: GreenhouseLogin,
    }),
  ],
  controllers: [DevicesController],
  providers: [Greenhouse, GreenhouseLogin],
})
export class AppModule {}
