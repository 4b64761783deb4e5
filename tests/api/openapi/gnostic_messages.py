"""gnostic's messages for Google's own protobuf decoder: as far as a client needs them, numbers and all.

gnostic: https://github.com/google/gnostic-models (OpenAPIv2.proto, OpenAPIv3.proto)
"""

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

#: A line is a message: field=number, of text unless a type follows; `*` repeats.
_SHARED = """
Any: yaml=2
NamedAny: name=1 value=2:Any
"""
_V2 = """
AdditionalPropertiesItem: schema=1:Schema boolean=2:bool
Definitions: additional_properties=1:NamedSchema*
Document: swagger=1 info=2:Info host=3 base_path=4 schemes=5* consumes=6* produces=7* paths=8:Paths definitions=9:Definitions vendor_extension=16:NamedAny*
Info: title=1 version=2 description=3 vendor_extension=7:NamedAny*
ItemsItem: schema=1:Schema*
NamedPathItem: name=1 value=2:PathItem
NamedResponseValue: name=1 value=2:ResponseValue
NamedSchema: name=1 value=2:Schema
NonBodyParameter: query=3:QueryParameterSubSchema path=4:PathParameterSubSchema
Operation: tags=1* summary=2 description=3 operation_id=5 produces=6* consumes=7* parameters=8:ParametersItem* responses=9:Responses schemes=10* deprecated=11:bool vendor_extension=13:NamedAny*
Parameter: non_body_parameter=2:NonBodyParameter
ParametersItem: parameter=1:Parameter
PathItem: ref=1 get=2:Operation put=3:Operation post=4:Operation parameters=9:ParametersItem* vendor_extension=10:NamedAny*
PathParameterSubSchema: required=1:bool in=2 description=3 name=4 type=5 format=6 vendor_extension=22:NamedAny*
Paths: vendor_extension=1:NamedAny* path=2:NamedPathItem*
Properties: additional_properties=1:NamedSchema*
QueryParameterSubSchema: required=1:bool in=2 description=3 name=4 allow_empty_value=5:bool type=6 format=7 vendor_extension=23:NamedAny*
Response: description=1 schema=2:SchemaItem vendor_extension=5:NamedAny*
ResponseValue: response=1:Response
Responses: response_code=1:NamedResponseValue* vendor_extension=2:NamedAny*
Schema: ref=1 format=2 title=3 description=4 default=5:Any required=19* enum=20:Any* additional_properties=21:AdditionalPropertiesItem type=22:TypeItem items=23:ItemsItem all_of=24:Schema* properties=25:Properties vendor_extension=31:NamedAny*
SchemaItem: schema=1:Schema
TypeItem: value=1*
"""
_V3 = """
AdditionalPropertiesItem: schema_or_reference=1:SchemaOrReference boolean=2:bool
Components: schemas=1:SchemasOrReferences specification_extension=10:NamedAny*
Document: openapi=1 info=2:Info paths=4:Paths components=5:Components specification_extension=9:NamedAny*
Info: title=1 description=2 version=6 specification_extension=7:NamedAny* summary=8
ItemsItem: schema_or_reference=1:SchemaOrReference*
MediaType: schema=1:SchemaOrReference specification_extension=5:NamedAny*
MediaTypes: additional_properties=1:NamedMediaType*
NamedMediaType: name=1 value=2:MediaType
NamedPathItem: name=1 value=2:PathItem
NamedResponseOrReference: name=1 value=2:ResponseOrReference
NamedSchemaOrReference: name=1 value=2:SchemaOrReference
Operation: tags=1* summary=2 description=3 operation_id=5 parameters=6:ParameterOrReference* responses=8:Responses deprecated=10:bool specification_extension=13:NamedAny*
Parameter: name=1 in=2 description=3 required=4:bool deprecated=5:bool schema=10:SchemaOrReference specification_extension=14:NamedAny*
ParameterOrReference: parameter=1:Parameter reference=2:Reference
PathItem: ref=1 summary=2 description=3 get=4:Operation put=5:Operation post=6:Operation parameters=13:ParameterOrReference* specification_extension=14:NamedAny*
Paths: path=1:NamedPathItem* specification_extension=2:NamedAny*
Properties: additional_properties=1:NamedSchemaOrReference*
Reference: ref=1 summary=2 description=3
Response: description=1 content=3:MediaTypes specification_extension=5:NamedAny*
ResponseOrReference: response=1:Response reference=2:Reference
Responses: default=1:ResponseOrReference response_or_reference=2:NamedResponseOrReference* specification_extension=3:NamedAny*
Schema: nullable=1:bool title=9 required=23* type=25 all_of=26:SchemaOrReference* one_of=27:SchemaOrReference* items=30:ItemsItem properties=31:Properties additional_properties=32:AdditionalPropertiesItem description=34 format=35 specification_extension=36:NamedAny*
SchemaOrReference: schema=1:Schema reference=2:Reference
SchemasOrReferences: additional_properties=1:NamedSchemaOrReference*
"""


def _document_class(package: str, messages: str) -> type[Message]:
    # The syntax is left at proto2, so that what was written can be told from what was not.
    file = FileDescriptorProto(name=f"{package}.proto", package=package)
    for line in filter(None, (_SHARED + messages).splitlines()):
        name, _, fields = line.partition(": ")
        file.message_type.append(
            DescriptorProto(name=name, field=[_field(package, text) for text in fields.split()])
        )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{package}.Document"))


def _field(package: str, text: str) -> FieldDescriptorProto:
    name, _, rest = text.removesuffix("*").partition("=")
    number, _, kind = rest.partition(":")
    field = FieldDescriptorProto(
        name=name,
        number=int(number),
        label=FieldDescriptorProto.LABEL_REPEATED
        if text.endswith("*")
        else FieldDescriptorProto.LABEL_OPTIONAL,
        type=FieldDescriptorProto.TYPE_STRING,
    )
    if kind == "bool":
        field.type = FieldDescriptorProto.TYPE_BOOL
    elif kind:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
    return field


Document2 = _document_class("openapi.v2", _V2)
Document3 = _document_class("openapi.v3", _V3)
