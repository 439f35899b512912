import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { type ConnectedDevice } from '@fedecks/nest';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { Observable, tap } from 'rxjs';
import { fieldsOf } from './log-fields.js';

const TRACER = 'cloud-api';

/** Whether this process was started with a provider of OpenTelemetry: node --import ./tracing.js main.js */
export function isTraced(): boolean {
  // Without a provider all spans are alike, and invalid. This one never ends, so it is never exported.
  return trace.isSpanContextValid(trace.getTracer(TRACER).startSpan('is traced').spanContext());
}

/**
 * A span around each handler of devices, which is active while the handler runs. An interceptor of the app only where
 * there is a provider, as each message of each device would go through it.
 */
@Injectable()
export class HandlerSpans implements NestInterceptor {
  private readonly tracer = trace.getTracer(TRACER);

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    // HTTP has instrumentations of its own.
    if (execution.getType() !== 'ws') return next.handle();
    const { deviceId, connection } = fieldsOf(execution.switchToWs().getClient<ConnectedDevice>());
    const span = this.tracer.startSpan(`${execution.getClass().name}.${execution.getHandler().name}`, {
      kind: SpanKind.CONSUMER,
      attributes: {
        'fedecks.device.id': deviceId,
        ...(connection !== undefined && { 'fedecks.connection': connection }),
      },
    });
    const traced = trace.setSpan(context.active(), span);
    const result = new Observable((subscriber) =>
      context.with(traced, () => next.handle().subscribe(subscriber)),
    );
    return result.pipe(
      tap({
        // Not what was thrown: it may quote what the device sent.
        error: () => span.setStatus({ code: SpanStatusCode.ERROR }),
        finalize: () => span.end(),
      }),
    );
  }
}
