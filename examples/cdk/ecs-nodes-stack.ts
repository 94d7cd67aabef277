// An Auto Scaling group of an ECS cluster whose nodes run ecs-node. The numbers are those of the
// sections of docs/your-own-group.md.
//
// By default the cluster exists, and nothing here changes it: no deployment replaces its capacity
// providers, and no deletion of the stack deletes it.

import { readFileSync } from 'node:fs';
import {
  CfnOutput,
  Fn,
  Stack,
  type StackProps,
  aws_autoscaling as autoscaling,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_iam as iam,
  aws_ssm as ssm,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { addAlarms, addEvents } from './events-and-alarms.ts';

export interface EcsNodesProps extends StackProps {
  /** Name of the ECS cluster, which exists unless `createCluster` is true. */
  readonly cluster: string;
  /** Creates the cluster with a capacity provider. Never give the name of one that exists. */
  readonly createCluster?: boolean;
  readonly subnetIds: string[];
  readonly securityGroupIds: string[];
  /** Number of nodes; default 2. */
  readonly size?: number;
  /** SSM parameter with the image's id; default `/ami/ecs/latest`, which packer/ writes. */
  readonly imageParameter?: string;
  /** URL of install.sh of your release, for an image without ecs-node. */
  readonly installUrl?: string;
  /** Default m7i.large. */
  readonly instanceType?: string;
  /** SNS topic for the alarms. */
  readonly alarmTopicArn?: string;
}

export class EcsNodesStack extends Stack {
  constructor(scope: Construct, id: string, props: EcsNodesProps) {
    super(scope, id, props);
    const name = `${props.cluster}-nodes`;
    const profile = this.makeProfile(props.cluster, name);
    const template = this.makeLaunchTemplate(props, profile);
    const group = this.makeGroup(name, props, template);
    if (props.createCluster === true) this.makeCluster(props.cluster, group);
    addEvents(this, props.cluster);
    addAlarms(this, props.cluster, group.ref, props.alarmTopicArn);
    new CfnOutput(this, 'GroupName', { value: group.ref });
  }

  /** The association replaces the whole list of the cluster's providers. */
  private makeCluster(name: string, group: autoscaling.CfnAutoScalingGroup): void {
    const cluster = new ecs.CfnCluster(this, 'Cluster', { clusterName: name });
    // Nodes need their cluster from the first minute.
    group.addDependency(cluster);
    const provider = new ecs.CfnCapacityProvider(this, 'CapacityProvider', {
      // A name must not begin with aws, ecs or fargate.
      name: `nodes-${name}`,
      autoScalingGroupProvider: {
        autoScalingGroupArn: group.ref,
        managedScaling: { status: 'DISABLED' },
        // The node drains itself. Scale-in protection would also stop a node that has to leave.
        managedDraining: 'DISABLED',
        managedTerminationProtection: 'DISABLED',
      },
    });
    new ecs.CfnClusterCapacityProviderAssociations(this, 'ClusterCapacity', {
      cluster: cluster.ref,
      capacityProviders: [provider.ref],
      defaultCapacityProviderStrategy: [{ capacityProvider: provider.ref, weight: 1 }],
    });
  }

  /** 1. The program on each node, and 3. A launch template with user data and metadata. */
  private makeLaunchTemplate(props: EcsNodesProps, profile: iam.CfnInstanceProfile): ec2.CfnLaunchTemplate {
    // The container of a task in awsvpc mode must not reach the node's role.
    const settings = '--set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true';
    const flags = `--cluster ${props.cluster} --registrar ssm ${settings}`;
    const start =
      props.installUrl === undefined
        ? `exec ecs-node configure ${flags}`
        : `curl -fsSL ${props.installUrl} | sh -s -- ${flags}`;
    const parameter = props.imageParameter ?? '/ami/ecs/latest';
    return new ec2.CfnLaunchTemplate(this, 'LaunchTemplate', {
      launchTemplateData: {
        imageId: ssm.StringParameter.valueForTypedStringParameterV2(
          this,
          parameter,
          ssm.ParameterValueType.AWS_EC2_IMAGE_ID,
        ),
        instanceType: props.instanceType ?? 'm7i.large',
        iamInstanceProfile: { arn: profile.attrArn },
        securityGroupIds: props.securityGroupIds,
        instanceInitiatedShutdownBehavior: 'terminate',
        userData: Fn.base64(`#!/bin/sh\n${start}\n`),
        blockDeviceMappings: [
          {
            deviceName: '/dev/xvda',
            ebs: { volumeSize: 100, volumeType: 'gp3', encrypted: true, deleteOnTermination: true },
          },
        ],
        metadataOptions: {
          httpEndpoint: 'enabled',
          httpTokens: 'required',
          httpPutResponseHopLimit: 1,
          instanceMetadataTags: 'enabled',
        },
      },
    });
  }

  /**
   * 2. Permissions. The output of `ecs-node policy`, `ecs-node policy --for ecs-agent` and
   * `ecs-node policy --for systems-manager`.
   */
  private makeProfile(cluster: string, group: string): iam.CfnInstanceProfile {
    const { partition, region, account } = this;
    const values = { partition, region, account, cluster, group };
    const read = (policy: string) => {
      const text = readFileSync(new URL(`policies/${policy}.json`, import.meta.url), 'utf8');
      const filled = Object.entries(values).reduce((done, [key, value]) => done.replaceAll(`\${${key}}`, value), text);
      return iam.PolicyDocument.fromJson(JSON.parse(filled));
    };
    const role = new iam.Role(this, 'NodeRole', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      inlinePolicies: Object.fromEntries(
        ['ecs-node', 'ecs-agent', 'systems-manager'].map((policy) => [policy, read(policy)]),
      ),
    });
    return new iam.CfnInstanceProfile(this, 'NodeProfile', { roles: [role.roleName] });
  }

  private makeGroup(
    name: string,
    props: EcsNodesProps,
    template: ec2.CfnLaunchTemplate,
  ): autoscaling.CfnAutoScalingGroup {
    const size = props.size ?? 2;
    const group = new autoscaling.CfnAutoScalingGroup(this, 'NodeGroup', {
      autoScalingGroupName: name,
      vpcZoneIdentifier: props.subnetIds,
      minSize: `${size}`,
      maxSize: `${size * 2}`,
      desiredCapacity: `${size}`,
      launchTemplate: { launchTemplateId: template.ref, version: template.attrLatestVersionNumber },
      healthCheckType: 'EC2',
      healthCheckGracePeriod: 0,
      defaultInstanceWarmup: 0,
      terminationPolicies: ['OldestLaunchTemplate', 'Default'],
      // Hooks that are part of the group exist before it launches its first node. The construct
      // LifecycleHook would come later.
      lifecycleHookSpecificationList: [
        // 4. A launch hook.
        {
          lifecycleHookName: 'ecs-node-launch',
          lifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
          heartbeatTimeout: 1800,
          defaultResult: 'ABANDON',
        },
        // 5. A terminate hook.
        {
          lifecycleHookName: 'ecs-node-terminate',
          lifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
          heartbeatTimeout: 1200,
          defaultResult: 'CONTINUE',
        },
      ],
      // 6. A way to replace nodes. The new one is in service before the old one goes.
      instanceMaintenancePolicy: { minHealthyPercentage: 100, maxHealthyPercentage: 200 },
      tags: [
        { key: 'Name', value: `${props.cluster} ECS`, propagateAtLaunch: true },
        // ECS manages only groups with this tag. If ECS set it, the next update would remove it.
        { key: 'AmazonECSManaged', value: 'true', propagateAtLaunch: true },
      ],
    });
    group.cfnOptions.updatePolicy = {
      autoScalingInstanceRefresh: {
        strategy: 'Rolling',
        preferences: {
          minHealthyPercentage: 100,
          maxHealthyPercentage: 100,
          skipMatching: true,
          scaleInProtectedInstances: 'Ignore',
          standbyInstances: 'Ignore',
        },
      },
    };
    return group;
  }
}
