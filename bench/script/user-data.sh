# The user-data script that ecs-node replaces (docs: "what it replaces"), as its author published
# it. It omits the installation of packages and of the CloudWatch monitoring scripts: those lines
# download files, and the benchmark does not compare downloads. The four settings come from the
# environment.

echo "ECS_CLUSTER=$ECS_CLUSTER" >> /etc/ecs/ecs.config

sudo mkdir -p /etc/chef/ohai/hints
echo > /etc/chef/ohai/hints/ec2.json

INSTANCE_ID=`curl http://169.254.169.254/latest/meta-data/instance-id`
EC2_AVAIL_ZONE=`curl -s http://169.254.169.254/latest/meta-data/placement/availability-zone`
EC2_REGION="`echo \"$EC2_AVAIL_ZONE\" | sed -e 's:\([0-9][0-9]*\)[a-z]*\$:\\1:'`"

aws opsworks get-hostname-suggestion --region $OPSWORKS_REGION --layer-id $OPSWORKS_LAYER_ID > /tmp/hostname-suggestion.json
HOSTNAME_SUGGESTION=`eval "cat /tmp/hostname-suggestion.json | jq '.Hostname'"`
HOSTNAME_SUGGESTION=`echo $HOSTNAME_SUGGESTION | tr -d '"'`

aws ec2 create-tags --region $EC2_REGION --resources $INSTANCE_ID --tags Key=Name,Value="$ECS_CLUSTER ECS - $HOSTNAME_SUGGESTION"

aws opsworks register --region $OPSWORKS_REGION --stack-id $OPSWORKS_STACK_ID --infrastructure-class ec2 --override-hostname $HOSTNAME_SUGGESTION --local --use-instance-profile

aws opsworks describe-instances --region $OPSWORKS_REGION --stack-id $OPSWORKS_STACK_ID > /tmp/stack.json
OPSWORKS_INSTANCE_ID=`eval "cat /tmp/stack.json | jq '.Instances[] | select(.Ec2InstanceId == \"$INSTANCE_ID\").InstanceId'"`
OPSWORKS_INSTANCE_ID=`echo $OPSWORKS_INSTANCE_ID | tr -d '"'`

OPSWORKS_INSTANCE_STATUS="unknown"
while [  "$OPSWORKS_INSTANCE_STATUS" != "registered" ]; do
    aws opsworks describe-instances --region $OPSWORKS_REGION --instance-ids $OPSWORKS_INSTANCE_ID > /tmp/instance.json
    OPSWORKS_INSTANCE_STATUS=`eval "cat /tmp/instance.json | jq '.Instances[] | select(.Ec2InstanceId == \"$INSTANCE_ID\").Status'"`
    OPSWORKS_INSTANCE_STATUS=`echo $OPSWORKS_INSTANCE_STATUS | tr -d '"'`
    echo -n "."
    sleep 5
done

aws opsworks assign-instance --region $OPSWORKS_REGION --instance-id $OPSWORKS_INSTANCE_ID --layer-id $OPSWORKS_LAYER_ID

aws ec2 modify-instance-attribute --region $EC2_REGION --instance-id $INSTANCE_ID --no-disable-api-termination
