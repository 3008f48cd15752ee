//! Who gets in at the two TLS doors.

use crate::support::{BROWSER, CAMERA, Connecting, OTHER_CAMERA, Site, mosquitto};
use rumqttc::{ConnectReturnCode, ConnectionError};

/// The connection must end before any CONNACK: TLS itself refuses.
async fn refused_by_tls(connecting: Connecting) {
    match connecting.attempt().await.map(|_| "let in") {
        Err(ConnectionError::Io(_) | ConnectionError::Tls(_) | ConnectionError::MqttState(_)) => {}
        other => panic!("expected TLS to refuse, got {other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_the_device_ca_opens_the_devices_door() {
    let site = Site::start().await;
    let _camera = site.camera(CAMERA).connect().await.unwrap();
    site.stats(|stats| (stats.devices, stats.control) == (1, 0))
        .await;
    let _control = site.control().connect().await.unwrap();
    site.stats(|stats| (stats.devices, stats.control) == (1, 1))
        .await;
}

#[tokio::test]
async fn an_expired_a_foreign_and_no_certificate_do_not() {
    let site = Site::start().await;
    let devices = site.broker.addresses().devices;
    let (expired, stranger) = (site.pki.expired_device(CAMERA), site.pki.stranger(CAMERA));
    for identity in [Some(&expired), Some(&stranger), None] {
        refused_by_tls(Connecting::tls(CAMERA, devices, &site.pki, identity)).await;
    }
    // Not even when it looks like a browser's password.
    refused_by_tls(
        Connecting::tls(BROWSER, devices, &site.pki, None).credentials(BROWSER, "token-01"),
    )
    .await;
}

#[tokio::test]
async fn each_ca_opens_its_own_door_only() {
    let site = Site::start().await;
    let addresses = site.broker.addresses();
    let (device, control) = (site.pki.device(CAMERA), site.pki.control("control"));
    refused_by_tls(Connecting::tls(
        "control",
        addresses.control,
        &site.pki,
        Some(&device),
    ))
    .await;
    refused_by_tls(Connecting::tls(
        "control",
        addresses.control,
        &site.pki,
        None,
    ))
    .await;
    refused_by_tls(Connecting::tls(
        CAMERA,
        addresses.devices,
        &site.pki,
        Some(&control),
    ))
    .await;
}

#[tokio::test]
async fn a_camera_is_its_certificate() {
    let site = Site::start().await;
    let devices = site.broker.addresses().devices;
    let identity = site.pki.device(CAMERA);
    for (client_id, identity) in [
        (OTHER_CAMERA, identity),
        ("front-door-01", site.pki.nameless_device()),
    ] {
        let code = Connecting::tls(client_id, devices, &site.pki, Some(&identity))
            .connect()
            .await
            .err();
        assert_eq!(
            code,
            Some(ConnectReturnCode::NotAuthorized),
            "as {client_id}"
        );
    }
    let odd = site.pki.device("FRONT/#");
    let code = Connecting::tls("FRONT-01", devices, &site.pki, Some(&odd))
        .connect()
        .await
        .err();
    assert_eq!(code, Some(ConnectReturnCode::NotAuthorized));
    assert_eq!(site.broker.stats().await.refused.connects, 3);
}

#[tokio::test]
async fn a_client_without_an_id_is_not_given_one() {
    let site = Site::start().await;
    let arguments = ["-V", "mqttv5", "-q", "1", "-t", "cam/1/#", "-E"];
    let identity = site.pki.device(CAMERA);
    let said = mosquitto::run(
        "mosquitto_sub",
        site.broker.addresses().devices,
        &site.pki,
        Some(&identity),
        &arguments,
    )
    .await;
    assert!(
        said.text.to_lowercase().contains("not authorized"),
        "{}",
        said.text
    );
}

#[tokio::test]
async fn nobody_takes_over_the_control_plane_s_session() {
    let site = Site::start().await;
    let addresses = site.broker.addresses();
    // A camera whose id is a possible name of the control plane is no danger, since that one cannot use it.
    let identity = site.pki.control("control");
    let clash = Connecting::tls(
        "heron-control",
        addresses.control,
        &site.pki,
        Some(&identity),
    );
    assert_eq!(
        clash.connect().await.err(),
        Some(ConnectReturnCode::NotAuthorized)
    );
    let control = site.control().connect().await.unwrap();
    let camera = site.pki.device("control");
    let thief = Connecting::tls("control", addresses.devices, &site.pki, Some(&camera));
    assert_eq!(
        thief.connect().await.err(),
        Some(ConnectReturnCode::NotAuthorized)
    );
    control.leave().await;
}

#[tokio::test]
async fn mqtt_3_1_1_is_refused_with_a_reason() {
    let site = Site::start().await;
    let identity = site.pki.device(CAMERA);
    for version in ["mqttv31", "mqttv311"] {
        let topic = crate::support::topic(CAMERA, "up/presence");
        let arguments = [
            "-V", version, "-i", CAMERA, "-q", "1", "-t", &topic, "-m", "{}",
        ];
        let devices = site.broker.addresses().devices;
        let said = mosquitto::run(
            "mosquitto_pub",
            devices,
            &site.pki,
            Some(&identity),
            &arguments,
        )
        .await;
        assert!(
            !said.success && said.text.contains("Connection Refused: not authorised"),
            "{version}: {}",
            said.text
        );
    }
    assert_eq!(site.broker.stats().await.refused.connects, 2);
}
