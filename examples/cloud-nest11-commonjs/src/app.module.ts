import { Module } from '@nestjs/common';
import { FedecksModule } from '@fedecks/nest';
import { DevicesController } from './devices.controller';
import { Greenhouse } from './greenhouse';
import { GreenhouseLogin } from './greenhouse-login';

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
