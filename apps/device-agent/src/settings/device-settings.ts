import { Logger, ServiceUnavailableException } from '@nestjs/common';
import { BehaviorSubject, distinctUntilChanged, map, type Observable } from 'rxjs';
import { LOG_LEVELS, type Settings, type SettingsChange } from './settings.js';
import { settingsText } from './settings-text.js';
import { type SettingsFile } from './settings-file.js';

/** A disk that takes longer hangs. */
const SAVE_WITHIN_MS = 5_000;

/** The settings in force: the defaults, and over them what the cloud has set. */
export class DeviceSettings {
  private readonly logger = new Logger('Settings');
  private readonly inForce$: BehaviorSubject<Settings>;
  /** What the cloud has set, and the file holds. */
  private kept: SettingsChange = {};
  private untilRestart: Partial<Settings> = {};
  private isSaving = false;

  /** @param defaults hold for what the cloud has not set. */
  constructor(
    private readonly defaults: Settings,
    private readonly file: Pick<SettingsFile, 'load' | 'save'>,
  ) {
    this.kept = this.load();
    this.inForce$ = new BehaviorSubject(this.compose());
    this.inForce$
      .pipe(
        map(({ logLevel }) => logLevel),
        distinctUntilChanged(),
      )
      .subscribe((logLevel) => {
        Logger.overrideLogger([...LOG_LEVELS[logLevel]]);
      });
  }

  get current(): Settings {
    return this.inForce$.value;
  }

  /** The value now, and each other one from now on. */
  get telemetryIntervalMs$(): Observable<number> {
    return this.inForce$.pipe(
      map(({ telemetryIntervalMs }) => telemetryIntervalMs),
      distinctUntilChanged(),
    );
  }

  /**
   * Resolves with the settings in force when the change survives a power cut and is in force. What it does not name stays.
   * @param change a valid one.
   * @throws {ServiceUnavailableException} (rejects) if it cannot be kept: nothing has changed then. Only a disk that did not
   * answer in time may still keep it; then it comes into force when it does.
   */
  async change(change: SettingsChange): Promise<Settings> {
    if (Object.keys(change).length === 0) return this.current;
    if (this.isSaving) throw new ServiceUnavailableException('the last change is being written: try again');
    this.isSaving = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const error = new Error(`the disk has not answered for ${SAVE_WITHIN_MS / 1000} s`);
      timer = setTimeout(() => reject(error), SAVE_WITHIN_MS);
    });
    const saving = this.save(change);
    saving.catch(() => undefined);
    try {
      await Promise.race([saving, late]);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.logger.error(`The settings cannot be written: ${message}`);
      throw new ServiceUnavailableException(`the settings cannot be written (${code ?? message})`);
    } finally {
      clearTimeout(timer);
    }
    return this.current;
  }

  /** Changes a setting without keeping it. */
  setUntilRestart(settings: Partial<Settings>): void {
    this.untilRestart = { ...this.untilRestart, ...settings };
    this.inForce$.next(this.compose());
  }

  private async save(change: SettingsChange): Promise<void> {
    try {
      const kept = withoutNulls({ ...this.kept, ...change });
      await this.file.save(kept);
      this.kept = kept;
      this.untilRestart = Object.fromEntries(
        Object.entries(this.untilRestart).filter(([name]) => !Object.hasOwn(change, name)),
      );
      this.inForce$.next(this.compose());
      this.logger.log(`Settings changed: ${settingsText(this.current)}`);
    } finally {
      this.isSaving = false;
    }
  }

  /** What cannot be read must not keep the device from its cloud, which can set it again. */
  private load(): SettingsChange {
    try {
      return withoutNulls(this.file.load());
    } catch (error) {
      this.logger.error(
        `The defaults are in force, until the cloud changes them: ${(error as Error).message}`,
      );
      return {};
    }
  }

  private compose(): Settings {
    return { ...this.defaults, ...(this.kept as Partial<Settings>), ...this.untilRestart };
  }
}

function withoutNulls(change: SettingsChange): SettingsChange {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== null));
}
