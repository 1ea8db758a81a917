"""The endpoint that prices auctions: models, their variants, and how a new fleet takes over.

The rule: the containers reach nothing but what SageMaker brings them, instances are spread over the availability zones
of the subnets, and a new version answers a part of the traffic under alarms before it answers all of it.

A deployment is blue/green: SageMaker starts the new configuration beside the old one, shifts traffic in one or more
steps and goes back when an alarm rings. The names of the variants must stay, or it shifts all at once and without
guard; so a new model is a new `model` of the same variant. Auto scaling owns the number of instances, which a
deployment keeps; weights and data capture are the code's.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.environments import ArchivedModel, InferenceSizes, TrafficShift, Variant
from infra.execution_role import ExecutionRole
from infra.inference_scaling import VariantScaling
from infra.rollback import RollbackAlarms

MODEL_PREFIX = "models/"
CAPTURE_PREFIX = "capture/"
ROLLBACK_ALARMS = 10  # the most that an endpoint's deployment watches


def endpoint_name(environment: str) -> str:
    """The endpoint's name, which others may need before it is there."""
    return f"rtb-{environment}"


class Inference(Construct):
    """The endpoint with its models, roles, alarms and scaling.

    For others: `endpoint_name`, `endpoint_arn`, `variant_names`, `alarms` (those that roll back), `dimensions`,
    `model_keys` (by variant, of those deployed from an archive), `role`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: InferenceSizes,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        models: s3.IBucket,
        repository: ecr.IRepository,
        package_group: str,
        capture: s3.IBucket | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
    ) -> None:
        """`name` is the environment's. `key` encrypts volumes, logs and captured calls and opens `models`.

        `package_group` is the registry's model package group; `capture` is needed once calls are captured; `alarms`
        roll back besides the construct's own. Raises ValueError for what SageMaker would refuse.
        """
        super().__init__(scope, construct_id)
        if sizes.capture_percent and capture is None:
            raise ValueError(f"capture_percent is {sizes.capture_percent}, so a bucket for captured calls is needed")
        self._name, self._sizes, self._models, self._repository = name, sizes, models, repository
        self._package_group = package_group
        self._vpc = sagemaker.CfnModel.VpcConfigProperty(
            security_group_ids=[security_group.security_group_id], subnets=[subnet.subnet_id for subnet in subnets]
        )
        self.endpoint_name = endpoint_name(name)
        self.endpoint_arn = f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:endpoint/{self.endpoint_name}"
        self.variant_names = [variant.name for variant in sizes.variants]
        deployed = [*sizes.variants, *([sizes.shadow] if sizes.shadow else [])]
        self.model_keys = {
            variant.name: variant.model.key for variant in deployed if isinstance(variant.model, ArchivedModel)
        }
        log = self._log_group(key)
        access = ExecutionRole(
            self,
            "Execution",
            role_name=f"rtb-{name}-inference",
            description="The models behind the endpoint",
            log_group=f"/aws/sagemaker/Endpoints/{self.endpoint_name}",
            repository=repository,
            subnets=subnets,
            security_group=security_group,
            key=key,
            makes_log_group=False,
        )
        access.read(models, f"{MODEL_PREFIX}*")
        if capture is not None and sizes.capture_percent:
            access.write(capture, f"{CAPTURE_PREFIX}*")
        self.role, self._policy = access.role, access.policy

        configuration = self._configuration(key, capture)
        own = RollbackAlarms(
            self,
            "Rollback",
            endpoint_name=self.endpoint_name,
            variant_names=self.variant_names,
            limits=sizes.rollback,
        ).alarms
        self.alarms: list[cloudwatch.IAlarm] = [*own, *alarms]
        if len(self.alarms) > ROLLBACK_ALARMS:
            raise ValueError(f"{len(self.alarms)} alarms would roll back, SageMaker watches {ROLLBACK_ALARMS}")
        self.endpoint = self._endpoint(configuration)
        self.endpoint.node.add_dependency(log)  # SageMaker would make one of its own, kept for ever
        for variant in sizes.variants:
            VariantScaling(
                self,
                f"Scaling-{variant.name}",
                endpoint_name=self.endpoint_name,
                variant=variant,
                sizes=sizes.scaling,
            ).target.node.add_dependency(self.endpoint)

    def dimensions(self, variant: str) -> dict[str, str]:
        """The CloudWatch dimensions of a variant's metrics, in AWS/SageMaker and /aws/sagemaker/Endpoints."""
        return {"EndpointName": self.endpoint_name, "VariantName": variant}

    def _log_group(self, key: kms.IKey) -> logs.CfnLogGroup:
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=f"/aws/sagemaker/Endpoints/{self.endpoint_name}",
            retention_in_days=self._sizes.log_days,
            kms_key_id=key.key_arn,
        )
        log.apply_removal_policy(RemovalPolicy.DESTROY)
        return log

    def _model(self, variant: Variant, construct_id: str) -> sagemaker.CfnModel:
        if isinstance(variant.model, ArchivedModel):
            container = sagemaker.CfnModel.ContainerDefinitionProperty(
                image=f"{self._repository.repository_uri}:{self._sizes.image_tag}",
                model_data_url=self._models.s3_url_for_object(variant.model.key),
            )
        else:
            container = sagemaker.CfnModel.ContainerDefinitionProperty(
                model_package_name=(
                    f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:model-package/"
                    f"{self._package_group}/{variant.model.version}"
                )
            )
        model = sagemaker.CfnModel(
            self,
            construct_id,
            execution_role_arn=self.role.role_arn,
            primary_container=container,
            enable_network_isolation=True,
            vpc_config=self._vpc,
        )
        if self._policy is not None:
            model.node.add_dependency(self._policy)  # the model's archive is looked at when the model is made
        return model

    def _variant(self, variant: Variant, construct_id: str) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name=variant.name,
            model_name=self._model(variant, construct_id).attr_model_name,
            initial_variant_weight=variant.weight,
            initial_instance_count=variant.min_instances,
            instance_type=variant.instance_type,
            routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                routing_strategy="LEAST_OUTSTANDING_REQUESTS"
            ),
            enable_ssm_access=False,
        )

    def _configuration(self, key: kms.IKey, capture: s3.IBucket | None) -> sagemaker.CfnEndpointConfig:
        shadow = self._sizes.shadow
        return sagemaker.CfnEndpointConfig(  # unnamed: every change makes a new one, and the endpoint moves to it
            self,
            "Configuration",
            kms_key_id=key.key_arn,
            production_variants=[self._variant(variant, f"Model-{variant.name}") for variant in self._sizes.variants],
            shadow_production_variants=[self._variant(shadow, f"Shadow-{shadow.name}")] if shadow else None,
            data_capture_config=self._capture(key, capture),
        )

    def _capture(
        self, key: kms.IKey, capture: s3.IBucket | None
    ) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty | None:
        if capture is None or not self._sizes.capture_percent:
            return None
        return sagemaker.CfnEndpointConfig.DataCaptureConfigProperty(
            enable_capture=True,
            initial_sampling_percentage=self._sizes.capture_percent,
            destination_s3_uri=capture.s3_url_for_object(CAPTURE_PREFIX + self.endpoint_name),
            kms_key_id=key.key_arn,
            capture_options=[
                sagemaker.CfnEndpointConfig.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")
            ],
            capture_content_type_header=sagemaker.CfnEndpointConfig.CaptureContentTypeHeaderProperty(
                csv_content_types=["text/csv"], json_content_types=["application/json"]
            ),
        )

    def _endpoint(self, configuration: sagemaker.CfnEndpointConfig) -> sagemaker.CfnEndpoint:
        return sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.endpoint_name,
            endpoint_config_name=configuration.attr_endpoint_config_name,
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[
                sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type=kind)
                for kind in ("DesiredWeight", "DataCaptureConfig")
            ],
            deployment_config=sagemaker.CfnEndpoint.DeploymentConfigProperty(
                blue_green_update_policy=_blue_green(self._sizes.shift),
                auto_rollback_configuration=sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
                    alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in self.alarms]
                ),
            ),
        )


def _blue_green(shift: TrafficShift) -> sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty:
    step = sagemaker.CfnEndpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=shift.percent)
    return sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
        traffic_routing_configuration=sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
            type=shift.kind,
            canary_size=step if shift.kind == "CANARY" else None,
            linear_step_size=step if shift.kind == "LINEAR" else None,
            wait_interval_in_seconds=shift.wait_s,
        ),
        termination_wait_in_seconds=shift.termination_wait_s,
        maximum_execution_timeout_in_seconds=shift.max_duration_s,
    )
