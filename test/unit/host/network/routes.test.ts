import { expect, test } from 'vitest';
import { hasDefaultRoute4, hasDefaultRoute6 } from '../../../../host/network/routes.ts';

const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const docker = 'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n';
const router = 'ens5\t00000000\t0100000A\t0003\t0\t0\t512\t00000000\t0\t0\t0\n';

test("Docker's bridge is no default route for IPv4", () => {
  expect(hasDefaultRoute4(`${head}${docker}`)).toBe(false);
  expect(hasDefaultRoute4(`${head}${docker}${router}`)).toBe(true);
  expect(hasDefaultRoute4('')).toBe(false);
});

const zeros = '0'.repeat(32);
const rejecting = `${zeros} 00 ${zeros} 00 ${zeros} ffffffff 00000001 00000000 00200200       lo\n`;
const link = `fe800000000000000000000000000000 40 ${zeros} 00 ${zeros} 00000100 00000001 00000000 00000001     ens5\n`;
const way = `${zeros} 00 ${zeros} 00 fe800000000000000000000000000001 00000200 00000001 00000000 00450003     ens5\n`;

test("neither the kernel's permanent entry nor a link address is a default route for IPv6", () => {
  expect(hasDefaultRoute6(`${rejecting}${link}`)).toBe(false);
  expect(hasDefaultRoute6(`${link}${way}${rejecting}`)).toBe(true);
  expect(hasDefaultRoute6('')).toBe(false);
});
