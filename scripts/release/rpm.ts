// Makes an RPM of a staged folder, for users of Amazon Linux.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Package {
  version: string;
  /** The architecture in RPM's own name. */
  architecture: 'x86_64' | 'aarch64';
  epochSeconds: number;
  /** RPM's name of the compression. Default: xz at its level 6. */
  payload?: string;
}

export function packageFile({ version, architecture }: Package): string {
  return `ecs-node-${rpmVersion(version)}-1.${architecture}.rpm`;
}

/**
 * The RPM runs install-files.sh, as every other installation does. Needs rpmbuild, of any
 * distribution.
 */
export async function packRpm(output: string, staged: string, wanted: Package): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'ecs-node-rpm-'));
  try {
    await writeFile(join(work, 'ecs-node.spec'), renderSpec(wanted, resolve(staged), await readUnits(staged)));
    const defines = { _topdir: work, _rpmdir: work, _rpmfilename: 'made.rpm', _buildhost: 'reproducible' };
    const flags = Object.entries(defines).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
    // --target lets any machine pack both architectures, because nothing is compiled.
    await run(
      'rpmbuild',
      ['-bb', '--quiet', '--target', `${wanted.architecture}-linux`, ...flags, join(work, 'ecs-node.spec')],
      {
        env: { ...process.env, SOURCE_DATE_EPOCH: String(wanted.epochSeconds), LC_ALL: 'C' },
      },
    );
    await rename(join(work, 'made.rpm'), output).catch(() => run('mv', [join(work, 'made.rpm'), output]));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** In RPM a dash separates the release number, and only "1.2.3~rc.1" sorts before "1.2.3". */
function rpmVersion(version: string): string {
  return version.replaceAll('-', '~');
}

/** Returns the units that the preset enables. */
async function readUnits(staged: string): Promise<string> {
  const preset = await readFile(join(staged, 'systemd/system-preset/80-ecs-node.preset'), 'utf8');
  return [...preset.matchAll(/^enable (\S+)$/gm)].map(([, unit]) => unit).join(' ');
}

/** The scriptlets use no systemd macros, because some machines with rpmbuild lack them. */
function renderSpec({ version, epochSeconds, payload = 'w6.xzdio' }: Package, staged: string, units: string): string {
  const date = new Date(epochSeconds * 1000);
  const [day, month] = [
    date.toLocaleString('en', { weekday: 'short', timeZone: 'UTC' }),
    date.toLocaleString('en', { month: 'short', timeZone: 'UTC' }),
  ];
  const madeOn = `${day} ${month} ${String(date.getUTCDate()).padStart(2, '0')} ${date.getUTCFullYear()}`;
  return `\
# Stripping would cut off what pkg appended to the binary.
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%global _binary_payload ${payload}
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
%global source_date_epoch_from_changelog 0

Name: ecs-node
Version: ${rpmVersion(version)}
Release: 1
Summary: Starts, watches and retires an Amazon ECS container instance
License: Apache-2.0
AutoReqProv: no
Requires: systemd, glibc >= 2.28, libstdc++

%description
One program that bootstraps an Amazon ECS container instance before ECS starts, watches it, and drains and retires it.
User data then is one line: exec ecs-node configure --cluster NAME

%install
DESTDIR=%{buildroot} sh ${staged}/install-files.sh --no-enable
# The package holds exactly the files that it installed.
(cd %{buildroot} && find . -type f | sed 's/^[.]//' | LC_ALL=C sort) >files.list

%post
# An earlier install.sh left this file. After the removal of this package it would keep ecs from starting.
rm -f /etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf || :
if [ -x /usr/bin/systemctl ]; then
  if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
  # On the first installation only: an update does not enable what the operator disabled.
  if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset ${units} || :
    # An agent from an archive installation is already running.
    if [ -d /run/systemd/system ]; then systemctl --no-block try-restart ecs-node.service || :; fi
  fi
fi

%preun
if [ "$1" -eq 0 ] && [ -x /usr/bin/systemctl ]; then
  systemctl --no-reload disable ${units} || :
  if [ -d /run/systemd/system ]; then systemctl stop ecs-node.service || :; fi
fi

%postun
if [ -x /usr/bin/systemctl ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
  # The new agent continues from the state on the disk. It is ready only when the metadata service answers, so do not wait.
  if [ "$1" -ge 1 ]; then systemctl --no-block try-restart ecs-node.service || :; fi
fi

%files -f files.list
%dir /usr/lib/systemd/system/ecs.service.d
%dir /usr/share/ecs-node
%dir /etc/ecs-node
%dir /etc/ecs-node/config.d
%dir /etc/ecs-node/hooks.d
%dir /etc/ecs-node/hooks.d/joined
%dir /etc/ecs-node/hooks.d/leaving
%dir /etc/ecs-node/hooks.d/left

%changelog
* ${madeOn} ecs-node <ecs-node@localhost> - ${rpmVersion(version)}-1
- See CHANGELOG.md
`;
}
