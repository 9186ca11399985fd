//! Who is let in as one that the node carries.

use fingerpost_proto::network::invite::Invitation;

use super::*;

fn admitted(rig: &Rig, key: &PublicKey) -> Option<Admitted> {
    rig.driver.admitted.read().unwrap().get(key).map(|(admitted, _)| *admitted)
}

#[test]
fn only_who_used_a_promised_code_is_carried_and_its_device_takes_no_invites_place() {
    let mut rig = Rig::new();
    let (one_time, device, org) = (public(&key(9)), public(&key(2)), rig.org);
    rig.driver.use_invite(&one_time, org).unwrap();
    assert_eq!(admitted(&rig, &device), None, "an invite alone promises nothing");
    rig.driver.promise_hosting(one_time).unwrap();
    rig.driver.use_invite(&one_time, org).unwrap();
    assert_eq!(admitted(&rig, &device), Some(Admitted::Hosted));
    rig.driver.use_invite(&one_time, OrgId([8; 32])).unwrap();
    assert_eq!(rig.driver.hosting.organisations().count(), 1, "a promise is made good once");

    // A card proves nothing about the keys on it: one that names somebody's one-time key turns nobody away.
    let invitation = Invitation {
        inviter: org,
        device: [0; 32],
        one_time_key: device,
        expires: UnixHour(u32::MAX),
        signature: [0; 64],
    };
    rig.driver.invites.add(invitation);
    rig.driver.refresh_members();
    assert_eq!(admitted(&rig, &device), Some(Admitted::Invitee));
    rig.driver.invites.remove(&device);
    assert!(rig.driver.stop_hosting(&org).unwrap());
    assert_eq!(admitted(&rig, &device), None);
    assert!(!rig.driver.stop_hosting(&org).unwrap());
}

#[test]
fn a_promise_ends_with_its_invite() {
    let mut rig = Rig::new();
    rig.driver.promise_hosting(public(&key(9))).unwrap();
    rig.driver.expire_promises();
    assert_eq!(rig.driver.hosting.promised(), 0);
}
