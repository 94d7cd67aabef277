/** The parts of an account that the pages expect a reader to have. */

/** The image of groups in production, which no page may change. */
export const inUse = '/ami/ecs/latest';

type Aws = <T>(...words: string[]) => Promise<T>;

/** `packer build` has made an image, and written its id. Groups in production have one, too. */
export async function provideImage(aws: Aws, subnet: string): Promise<void> {
  const { Images } = await aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  const start = ['--image-id', Images[0]!.ImageId, '--subnet-id', subnet];
  const { Instances } = await aws<{ Instances: { InstanceId: string }[] }>('ec2', 'run-instances', ...start);
  const source = ['--instance-id', Instances[0]!.InstanceId, '--name', 'ecs'];
  const { ImageId } = await aws<{ ImageId: string }>('ec2', 'create-image', ...source);
  for (const name of [inUse, '/ami/ecs-try/latest', '/ami/ecs-try/20260102T030405Z-x86_64'])
    await aws('ssm', 'put-parameter', '--name', name, '--type', 'String', '--value', ImageId);
}

/** The reader has a group with a launch configuration, whose nodes have a role. */
export async function provideGroupAndRole(
  aws: Aws,
  own: { GROUP: string; ROLE: string },
  subnet: string,
): Promise<void> {
  const trust = { Version: '2012-10-17', Statement: [] };
  await aws('iam', 'create-role', '--role-name', own.ROLE, '--assume-role-policy-document', JSON.stringify(trust));
  const profile = ['--instance-profile-name', 'profile-of-nodes'];
  const { InstanceProfile } = await aws<{ InstanceProfile: { InstanceProfileName: string } }>(
    'iam',
    'create-instance-profile',
    ...profile,
  );
  await aws('iam', 'add-role-to-instance-profile', ...profile, '--role-name', own.ROLE);
  const { Images } = await aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  for (const policy of ['service-role/AmazonEC2ContainerServiceforEC2Role', 'AmazonSSMManagedInstanceCore'])
    await aws(
      'iam',
      'attach-role-policy',
      '--role-name',
      own.ROLE,
      '--policy-arn',
      `arn:aws:iam::aws:policy/${policy}`,
    );
  const launch = ['--launch-configuration-name', 'old'];
  const machine = ['--image-id', Images[0]!.ImageId, '--instance-type', 'm5.large'];
  const allowed = ['--iam-instance-profile', InstanceProfile.InstanceProfileName];
  await aws('autoscaling', 'create-launch-configuration', ...launch, ...machine, ...allowed);
  const group = ['--auto-scaling-group-name', own.GROUP, '--min-size', '0', '--max-size', '2'];
  await aws('autoscaling', 'create-auto-scaling-group', ...group, ...launch, '--vpc-zone-identifier', subnet);
}
