/** Renders the instance identity document and the signature that proves it. */

import { createSign, createVerify, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { IdentityKeys } from '../services/service.ts';
import type { Instance, World } from '../world/state.ts';

const generate = promisify(generateKeyPair);

/** Made at start, so a document of another simulator fails verification. */
export async function openIdentityKeys(): Promise<IdentityKeys & { publicKey: string }> {
  const { publicKey, privateKey } = await generate('rsa', { modulusLength: 2048 });
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: (document) => wrap(createSign('sha256').update(document).sign(privateKey, 'base64')),
    verify: (document, signature) => createVerify('sha256').update(document).verify(publicKey, signature, 'base64'),
  };
}

/** The metadata service breaks the lines of a signature too. */
const wrap = (base64: string) => base64.replaceAll(/(.{76})(?=.)/g, '$1\n');

export function renderDocument(world: World, instance: Instance): string {
  const document = {
    accountId: world.accountId,
    architecture: instance.architecture,
    availabilityZone: instance.zone,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: instance.imageId,
    instanceId: instance.id,
    instanceType: instance.type,
    kernelId: null,
    pendingTime: new Date(instance.launchedAt).toISOString().replace(/\.\d+/, ''),
    privateIp: instance.privateIp,
    ramdiskId: null,
    region: world.region,
    version: '2017-09-30',
  };
  return JSON.stringify(document, null, 2);
}
