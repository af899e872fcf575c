"""Private subnets, one a zone, without a way to the internet unless one is asked for.

AWS is reached by endpoints, the database from functions, and nothing else by nobody.
"""

from ipaddress import ip_network

from aws_cdk import Aws, CfnParameter, Fn, Stack, Tags
from aws_cdk import aws_ec2 as ec2

from common import Environment, accept, tell

SERVICES = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs")
HTTPS = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443}
# A group without a rule for what goes out would let all of it out.
NOTHING = ec2.CfnSecurityGroup.EgressProperty(
    description="Nothing",
    ip_protocol="icmp",
    from_port=252,
    to_port=86,
    cidr_ip="255.255.255.255/32",
)


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the VPC, its endpoints and its security groups."""
    settings = environment.settings
    parts = [str(each) for each in ip_network(settings["cidr"]).subnets(4)]
    vpc = ec2.CfnVPC(
        stack,
        "main",
        cidr_block=settings["cidr"],
        enable_dns_support=True,
        enable_dns_hostnames=True,  # the interface endpoints have private names
    )
    Tags.of(vpc).add("Name", environment.prefix)
    accept(vpc, "AwsSolutions-VPC7", "Flow logs are an account's own choice, and cost")
    zones = CfnParameter(
        stack,
        "Zones",
        type="CommaDelimitedList",
        description="Zones of the region, in the order of their names",
    ).value_as_list
    subnets, tables = [], []
    for number in range(settings["zones"]):
        subnet = ec2.CfnSubnet(
            stack,
            f"private{number}",
            vpc_id=vpc.ref,
            availability_zone=Fn.select(number, zones),
            cidr_block=parts[number],
        )
        table = ec2.CfnRouteTable(stack, f"routes{number}", vpc_id=vpc.ref)
        for each in (subnet, table):
            Tags.of(each).add("Name", f"{environment.prefix}-private")
        ec2.CfnSubnetRouteTableAssociation(
            stack,
            f"routed{number}",
            subnet_id=subnet.ref,
            route_table_id=table.ref,
        )
        subnets.append(subnet.ref)
        tables.append(table.ref)
    endpoint = add_security_groups(stack, environment, vpc)
    add_endpoints(stack, vpc, subnets, tables, endpoint)
    if settings["nat"]:
        add_way_out(stack, environment, vpc, parts[15], Fn.select(0, zones), tables)
    environment.share_list(stack, "subnets", subnets)
    tell(stack, "Vpc", "ID of the VPC", vpc.ref)
    tell(stack, "Subnets", "IDs of the private subnets, one a zone", subnets)


def add_security_groups(
    stack: Stack, environment: Environment, vpc: ec2.CfnVPC
) -> ec2.CfnSecurityGroup:
    """Let functions reach database and AWS; return the group of the endpoints."""
    s3 = CfnParameter(
        stack, "S3PrefixList", description="ID of the prefix list of S3 in the region"
    )
    port = environment.database_port
    sql = {"ip_protocol": "tcp", "from_port": port, "to_port": port}

    def group(
        name: str, description: str, egress: list[ec2.CfnSecurityGroup.EgressProperty]
    ) -> ec2.CfnSecurityGroup:
        return ec2.CfnSecurityGroup(
            stack,
            f"{name}-group",
            group_name=f"{environment.prefix}-{name}",
            group_description=description,
            vpc_id=vpc.ref,
            security_group_egress=egress,
        )

    def to(description: str, **rule: object) -> ec2.CfnSecurityGroup.EgressProperty:
        return ec2.CfnSecurityGroup.EgressProperty(description=description, **rule)

    database = group("database", "Database", [NOTHING])
    endpoint = group("endpoint", "Endpoints of AWS", [NOTHING])
    egress = [
        to("SQL to the database", destination_security_group_id=database.ref, **sql),
        to("HTTPS to AWS", destination_security_group_id=endpoint.ref, **HTTPS),
        to("HTTPS to S3", destination_prefix_list_id=s3.value_as_string, **HTTPS),
    ]
    if environment.settings["nat"]:
        egress.append(to("HTTPS to anywhere", cidr_ip="0.0.0.0/0", **HTTPS))
    function = group("function", "Functions", egress)
    for name, into, description, rule in (
        ("database", database, "SQL from functions", sql),
        ("endpoint", endpoint, "HTTPS from functions", HTTPS),
    ):
        ec2.CfnSecurityGroupIngress(
            stack,
            f"{name}-from-function",
            group_id=into.ref,
            source_security_group_id=function.ref,
            description=description,
            **rule,
        )
    environment.share(stack, "function-group", function.ref)
    environment.share(stack, "database-group", database.ref)
    return endpoint


def add_endpoints(
    stack: Stack,
    vpc: ec2.CfnVPC,
    subnets: list[str],
    tables: list[str],
    group: ec2.CfnSecurityGroup,
) -> None:
    """Add what functions need of AWS; ECR keeps layers of images in S3."""
    ec2.CfnVPCEndpoint(
        stack,
        "endpoint-s3",
        vpc_id=vpc.ref,
        service_name=f"com.amazonaws.{Aws.REGION}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=tables,
    )
    for service in SERVICES:
        ec2.CfnVPCEndpoint(
            stack,
            f"endpoint-{service}",
            vpc_id=vpc.ref,
            service_name=f"com.amazonaws.{Aws.REGION}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=subnets,
            security_group_ids=[group.ref],
        )


def add_way_out(
    stack: Stack,
    environment: Environment,
    vpc: ec2.CfnVPC,
    cidr: str,
    zone: str,
    tables: list[str],
) -> None:
    """Add one NAT gateway, in a public subnet of its own."""
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
    Tags.of(subnet).add("Name", f"{environment.prefix}-public")
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
