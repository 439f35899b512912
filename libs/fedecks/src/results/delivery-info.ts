/** What `@Delivery()` stands for: the place of a message among the device's deliveries. */
export interface DeliveryInfo {
  /** 0 to 7. Within a lane messages are handled one after another, in the order in which the device delivered them. */
  readonly lane: number;
  /** Rises within the lane. The device may leave numbers out. */
  readonly seq: number;
  /** Names the store of the device in which the message was numbered. */
  readonly epoch: string;
  /** How often the device has sent it, this time included: above 1, a handler may have begun with it before. */
  readonly attempt: number;
  /** How long ago the device put it in, in milliseconds. Undefined where the device does not know that. */
  readonly ageMs: number | undefined;
  /** When the device put it in, by the clock of this process. Undefined where the device does not know that. */
  readonly sentAt: Date | undefined;
  /**
   * `device/epoch/lane/seq`: the same whenever the message is handled again, and no other message has it. For a column
   * that is unique: written in the transaction of the handler, it keeps a message from counting twice.
   */
  readonly key: string;
}
