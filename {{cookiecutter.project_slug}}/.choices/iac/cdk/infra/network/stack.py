"""A VPC with a private subnet in each zone.

Functions reach AWS through endpoints. Only those that declare it are in the security
groups that reach the database and the internet.
"""

from ipaddress import ip_network
from typing import Any

from aws_cdk import Aws, CfnParameter, Fn, Stack, Tags
from aws_cdk import aws_ec2 as ec2

from infra.deployment import NOTHING, Deployment, acknowledge_rule, add_output

HTTPS = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443}
TCP = {"ip_protocol": "tcp", "from_port": 0, "to_port": 65535}


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the VPC, its endpoints and its security groups."""
    settings = deployment.settings
    cidrs = [str(each) for each in ip_network(settings["cidr"]).subnets(4)]
    vpc = ec2.CfnVPC(
        stack,
        "main",
        cidr_block=settings["cidr"],
        enable_dns_support=True,
        enable_dns_hostnames=True,  # for the interface endpoints' private names
    )
    Tags.of(vpc).add("Name", deployment.prefix)
    acknowledge_rule(
        vpc, "AwsSolutions-VPC7", "Flow logs cost money; each account decides on them"
    )
    zones = CfnParameter(
        stack,
        "Zones",
        type="CommaDelimitedList",
        description="Zones of the region, sorted by name",
    ).value_as_list
    subnets, tables = [], []
    for number in range(settings["zones"]):
        zone = Fn.select(number, zones)
        subnet, table = add_private_subnet(
            stack, deployment, vpc, number, zone, cidrs[number]
        )
        subnets.append(subnet.ref)
        tables.append(table.ref)
    endpoint = add_security_groups(stack, deployment, vpc)
    add_endpoints(stack, deployment, vpc, subnets, tables, endpoint)
    if deployment.spec["uses_internet"]:
        zone = Fn.select(0, zones)
        add_nat_gateway(stack, deployment, vpc, cidrs[15], zone, tables)
    deployment.publish_list(stack, "subnets", subnets)
    add_output(stack, "Vpc", "ID of the VPC", vpc.ref)
    add_output(
        stack, "Subnets", "IDs of the private subnets, one in each zone", subnets
    )


def add_private_subnet(
    stack: Stack,
    deployment: Deployment,
    vpc: ec2.CfnVPC,
    number: int,
    zone: str,
    cidr: str,
) -> tuple[ec2.CfnSubnet, ec2.CfnRouteTable]:
    """Add a private subnet with a route table of its own."""
    subnet = ec2.CfnSubnet(
        stack,
        f"private{number}",
        vpc_id=vpc.ref,
        availability_zone=zone,
        cidr_block=cidr,
    )
    table = ec2.CfnRouteTable(stack, f"routes{number}", vpc_id=vpc.ref)
    for each in (subnet, table):
        Tags.of(each).add("Name", f"{deployment.prefix}-private")
    ec2.CfnSubnetRouteTableAssociation(
        stack,
        f"routed{number}",
        subnet_id=subnet.ref,
        route_table_id=table.ref,
    )
    return subnet, table


def add_security_groups(
    stack: Stack, deployment: Deployment, vpc: ec2.CfnVPC
) -> ec2.CfnSecurityGroup:
    """Let functions reach what they declare; return the endpoints' group."""
    port = deployment.database_port
    sql = {"ip_protocol": "tcp", "from_port": port, "to_port": port}

    def group(
        name: str, description: str, egress: list[ec2.CfnSecurityGroup.EgressProperty]
    ) -> ec2.CfnSecurityGroup:
        return ec2.CfnSecurityGroup(
            stack,
            f"{name}-group",
            group_name=f"{deployment.prefix}-{name}",
            group_description=description,
            vpc_id=vpc.ref,
            security_group_egress=egress,
        )

    def to(description: str, **rule: object) -> ec2.CfnSecurityGroup.EgressProperty:
        return ec2.CfnSecurityGroup.EgressProperty(description=description, **rule)

    database = group("database", "Database", [NOTHING])
    if deployment.spec["has_proxy"]:
        deployment.connect_proxy(stack, database.ref)
    endpoint = group("endpoint", "Endpoints of AWS", [NOTHING])
    egress = [to("HTTPS to AWS", destination_security_group_id=endpoint.ref, **HTTPS)]
    for service in deployment.spec["gateways"]:
        parameter = CfnParameter(
            stack,
            f"{service.title()}PrefixList",
            description=f"ID of the prefix list of {service} in the region",
        )
        prefixes = parameter.value_as_string
        egress.append(
            to(f"HTTPS to {service}", destination_prefix_list_id=prefixes, **HTTPS)
        )
    function = group("function", "Functions", egress)
    to_database = to(
        "SQL to the database", destination_security_group_id=database.ref, **sql
    )
    uses_database = group("sql", "Functions that use the database", [to_database])
    for name, into, source, description, rule in (
        ("database", database, uses_database, "SQL from functions", sql),
        ("endpoint", endpoint, function, "HTTPS from functions", HTTPS),
    ):
        ec2.CfnSecurityGroupIngress(
            stack,
            f"{name}-from-function",
            group_id=into.ref,
            source_security_group_id=source.ref,
            description=description,
            **rule,
        )
    anywhere = NOTHING
    if deployment.spec["uses_internet"]:
        anywhere = to("TCP to anywhere", cidr_ip="0.0.0.0/0", **TCP)
    # in any case: Lambda keeps it in use for the old versions of a function
    internet = group("internet", "Functions that call the internet", [anywhere])
    deployment.publish(stack, "internet-group", internet.ref)
    deployment.publish(stack, "function-group", function.ref)
    deployment.publish(stack, "sql-group", uses_database.ref)
    deployment.publish(stack, "database-group", database.ref)
    return endpoint


def add_endpoints(
    stack: Stack,
    deployment: Deployment,
    vpc: ec2.CfnVPC,
    subnets: list[str],
    tables: list[str],
    group: ec2.CfnSecurityGroup,
) -> None:
    """Add endpoints for the AWS services that the functions need.

    Those of gateways cost nothing.
    """
    for service in deployment.spec["gateways"]:
        ec2.CfnVPCEndpoint(
            stack,
            f"endpoint-{service}",
            vpc_id=vpc.ref,
            service_name=f"com.amazonaws.{Aws.REGION}.{service}",
            vpc_endpoint_type="Gateway",
            policy_document=endpoint_policy(deployment, service),
            route_table_ids=tables,
        )
    for service in deployment.spec["endpoints"]:
        ec2.CfnVPCEndpoint(
            stack,
            f"endpoint-{service}",
            vpc_id=vpc.ref,
            service_name=f"com.amazonaws.{Aws.REGION}.{service}",
            vpc_endpoint_type="Interface",
            policy_document=endpoint_policy(deployment, service),
            private_dns_enabled=True,
            subnet_ids=subnets,
            security_group_ids=[group.ref],
        )


def endpoint_policy(deployment: Deployment, service: str) -> dict[str, Any] | None:
    """Return the policy of an endpoint, or None for AWS's own."""
    statements = deployment.spec["endpoint_statements"][service]
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def add_nat_gateway(
    stack: Stack,
    deployment: Deployment,
    vpc: ec2.CfnVPC,
    cidr: str,
    zone: str,
    tables: list[str],
) -> None:
    """Add a NAT gateway in a public subnet, and routes to it from the private ones."""
    gateway = ec2.CfnInternetGateway(stack, "internet")
    attached = ec2.CfnVPCGatewayAttachment(
        stack, "attached", vpc_id=vpc.ref, internet_gateway_id=gateway.ref
    )
    subnet = ec2.CfnSubnet(
        stack,
        "public",
        vpc_id=vpc.ref,
        availability_zone=zone,
        cidr_block=cidr,
    )
    Tags.of(subnet).add("Name", f"{deployment.prefix}-public")
    table = ec2.CfnRouteTable(stack, "public-routes", vpc_id=vpc.ref)
    ec2.CfnSubnetRouteTableAssociation(
        stack, "public-routed", subnet_id=subnet.ref, route_table_id=table.ref
    )
    out = ec2.CfnRoute(
        stack,
        "public-out",
        route_table_id=table.ref,
        destination_cidr_block="0.0.0.0/0",
        gateway_id=gateway.ref,
    )
    address = ec2.CfnEIP(stack, "address", domain="vpc")
    nat = ec2.CfnNatGateway(
        stack, "nat", allocation_id=address.attr_allocation_id, subnet_id=subnet.ref
    )
    for each in (out, address, nat):
        each.add_resource_dependency(attached)
    for number, private in enumerate(tables):
        ec2.CfnRoute(
            stack,
            f"out{number}",
            route_table_id=private,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.ref,
        )
