import { describe, expect, test } from 'vitest';
import { type Control, createImage, type Value } from './image';

/** A camera whose exposure is held by an automatic, and whose brightness goes in steps of ten. */
class Camera {
  readonly asked: { method: string; params?: Record<string, unknown> | undefined }[] = [];
  settable = true;
  broken = '';
  values: Record<string, Value> = { brightness: 50, exposure_auto: true, exposure: 100 };

  call = async (method: string, params?: Record<string, unknown>): Promise<unknown> => {
    this.asked.push({ method, params });
    await Promise.resolve();
    if (method === 'image.set') {
      if (this.broken) throw new Error(this.broken);
      for (const [name, value] of Object.entries(params ?? {})) {
        this.values[name] = typeof value === 'number' ? Math.round(value / 10) * 10 : (value as boolean);
      }
    }
    return { controls: this.controls(), settable: this.settable };
  };

  private controls(): Control[] {
    const [brightness, exposure] = [Number(this.values['brightness']), Number(this.values['exposure'])];
    const automatic = this.values['exposure_auto'] === true;
    const range = { kind: 'integer', min: 0, max: 1000, step: 10 } as const;
    return [
      { name: 'brightness', label: 'Brightness', value: brightness, default: 50, ...range },
      { name: 'exposure_auto', label: 'Exposure, auto', kind: 'boolean', value: automatic, default: true },
      { name: 'exposure', label: 'Exposure', value: exposure, default: 100, ...range, inactive: automatic },
    ];
  }

  sent(): unknown[] {
    return this.asked.filter(({ method }) => method === 'image.set').map(({ params }) => params);
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const values = (image: { controls: readonly Control[] }) => image.controls.map(({ value }) => value);

describe("the picture's controls", () => {
  test('are asked for once a connection, and shown to who may set them', async () => {
    const [image, camera] = [createImage(), new Camera()];
    image.attach(camera);
    image.attach(camera);
    await settled();
    expect(values(image)).toEqual([50, true, 100]);
    expect(camera.asked).toHaveLength(1);
    const other = new Camera();
    other.settable = false;
    image.attach(other);
    await settled();
    expect(image.controls).toHaveLength(0);
  });

  test('follow the hand at once, and end at what the camera made of it', async () => {
    const [image, camera] = [createImage(), new Camera()];
    image.attach(camera);
    await settled();
    image.set('brightness', 61);
    expect(values(image)[0]).toBe(61);
    image.set('brightness', 72);
    image.set('brightness', 83);
    expect(values(image)[0]).toBe(83);
    await settled();
    // What came while the first was under way went together.
    expect(camera.sent()).toEqual([{ brightness: 61 }, { brightness: 83 }]);
    expect(values(image)[0]).toBe(80);
  });

  test('that are refused say why and show what holds', async () => {
    const [image, camera] = [createImage(), new Camera()];
    image.attach(camera);
    await settled();
    camera.broken = 'brightness is 2000; allowed: 0 to 1000';
    image.set('brightness', 2000);
    await settled();
    expect(image.trouble()).toBe('brightness is 2000; allowed: 0 to 1000');
    expect(values(image)[0]).toBe(50);
    camera.broken = '';
    image.set('brightness', 60);
    await settled();
    expect(image.trouble()).toBe('');
  });

  test('are reset, automatics first, and what they hold left alone', async () => {
    const [image, camera] = [createImage(), new Camera()];
    camera.values = { brightness: 900, exposure_auto: false, exposure: 700 };
    image.attach(camera);
    await settled();
    image.reset();
    await settled();
    expect(camera.sent()).toEqual([{ exposure_auto: true }, { brightness: 50 }]);
    expect(values(image)).toEqual([50, true, 700]);
  });
});
